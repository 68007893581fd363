//! Settings that may be secrets: given directly, or through a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// Returns a secret that is given directly or in a file.
pub(crate) fn secret(
    name: &str,
    value: &Option<String>,
    file: &Option<PathBuf>,
) -> anyhow::Result<Option<String>> {
    match (value, file) {
        (Some(_), Some(_)) => bail!("both {name} and {name}_FILE are set: set one of them"),
        (Some(value), None) => Ok(Some(value.trim().to_owned())),
        (None, Some(file)) => Ok(Some(read(name, file)?)),
        (None, None) => Ok(None),
    }
}

fn read(name: &str, file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the file {} that {name}_FILE names", file.display()))?;
    Ok(text.trim().to_owned())
}
