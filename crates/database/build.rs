//! Embeds the migrations: `OUT_DIR/migrations.rs` has the names and SQL texts of each schema's two folders.
//!
//! This replaces `sqlx::migrate!`, whose macro crate compiles all of sqlx and SQLite a second time.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../migrations");
    let mut text = String::new();
    for schema in ["event-store", "subject-keys", "operations", "audit-tree", "read-models"] {
        let name = schema.replace('-', "_").to_uppercase();
        writeln!(text, "const {name}: (Files, Files) = (")?;
        for dialect in ["postgres", "sqlite"] {
            write_folder(&mut text, &root.join(schema).join(dialect))?;
        }
        writeln!(text, ");")?;
    }
    // Otherwise a new file is noticed only when this crate changes.
    println!("cargo::rerun-if-changed={}", root.display());
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("migrations.rs"), text)?;
    Ok(())
}

fn write_folder(text: &mut String, folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries: Result<Vec<_>, _> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = entries?;
    files.sort();
    writeln!(text, "&[")?;
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(text, "    ({stem:?}, include_str!({:?})),", fs::canonicalize(&file)?)?;
    }
    writeln!(text, "],")?;
    Ok(())
}
