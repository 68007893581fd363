//! Has this crate compiled again when a migration is added: the files are part of it, and Cargo does not see that.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
