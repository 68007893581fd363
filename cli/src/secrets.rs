//! Secrets that Taskledger generates: random, readable by the owner only, and never overwritten.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, bail};
use runtime::private_files;

/// Returns the secret `name` in `directory`, 32 bytes stored as hex. The first call creates it, and two processes
/// that do so at the same time get the same one.
pub(crate) fn read_or_create(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join(name);
    match private_files::require(&path) {
        Ok(()) => return read(&path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", path.display())),
    }
    private_files::create_directory(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))?;
    let secret = hex::encode(runtime::random_bytes::<32>());
    private_files::create_whole(&path, secret.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    read(&path)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Parses 64 hex digits.
pub(crate) fn parse_key(text: &str) -> anyhow::Result<[u8; 32]> {
    match <[u8; 32]>::try_from(hex::decode(text)?) {
        Ok(key) => Ok(key),
        Err(bytes) => bail!("found {} bytes instead of 32", bytes.len()),
    }
}
