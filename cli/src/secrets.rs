//! Secrets that Taskledger makes for itself: random, readable by the owner only, written once.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, bail};
use database::private;

/// The secret `name` in `directory`: 32 bytes as hex, made at the first call. Two processes that make it at
/// the same moment agree on one.
pub(crate) fn read_or_create(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join(name);
    match private::require(&path) {
        Ok(()) => return read(&path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", path.display())),
    }
    private::create_directory(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))?;
    let secret = hex::encode(runtime::random_bytes::<32>());
    private::create_whole(&path, secret.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    read(&path)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// 64 hex digits as 32 bytes.
pub(crate) fn parse_key(text: &str) -> anyhow::Result<[u8; 32]> {
    match <[u8; 32]>::try_from(hex::decode(text)?) {
        Ok(key) => Ok(key),
        Err(bytes) => bail!("found {} bytes instead of 32", bytes.len()),
    }
}
