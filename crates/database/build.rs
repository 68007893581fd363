//! Has this crate compiled again when a migration is added: the files are part of it, and Cargo does not see that.

#![expect(clippy::print_stdout, reason = "this is how a build script talks to Cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
