//! Settings that may be secrets: given directly, or through a file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::builder::{MapValueParser, PathBufValueParser, TypedValueParser as _, ValueParserFactory};
use parking_lot::Mutex;

/// A file that holds a secret. It is read once for all clones, since what is in a pipe can be read only once.
#[derive(Debug, Clone)]
pub(crate) struct SecretFile {
    path: PathBuf,
    content: Arc<Mutex<Option<String>>>,
}

impl SecretFile {
    fn at(path: PathBuf) -> Self {
        Self { path, content: Arc::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self, name: &str) -> anyhow::Result<String> {
        let mut content = self.content.lock();
        if let Some(known) = &*content {
            return Ok(known.clone());
        }
        let path = self.path.display();
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read the file {path} that {name}_FILE names"))?;
        ensure!(!text.trim().is_empty(), "the file {path} that {name}_FILE names is empty");
        Ok(content.insert(text.trim().to_owned()).clone())
    }
}

impl ValueParserFactory for SecretFile {
    type Parser = MapValueParser<PathBufValueParser, fn(PathBuf) -> Self>;

    fn value_parser() -> Self::Parser {
        PathBufValueParser::new().map(Self::at)
    }
}

/// Returns a secret that is given directly or in a file.
pub(crate) fn secret(
    name: &str,
    value: &Option<String>,
    file: &Option<SecretFile>,
) -> anyhow::Result<Option<String>> {
    match (value, file) {
        (Some(_), Some(_)) => bail!("both {name} and {name}_FILE are set: set one of them"),
        (Some(value), None) => Ok(Some(value.trim().to_owned())),
        (None, Some(file)) => Ok(Some(file.read(name)?)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_pipe_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        test_support::make_pipe(&pipe);
        // Waits until somebody reads.
        let write = |text: &'static str| {
            let pipe = pipe.clone();
            thread::spawn(move || fs::write(pipe, text).unwrap())
        };
        let file = Some(SecretFile::at(pipe.clone()));
        let first = write("first\n");
        assert_eq!(secret("URL", &None, &file).unwrap().as_deref(), Some("first"));
        first.join().unwrap();
        let second = write("second");
        for file in [&file, &file.clone()] {
            assert_eq!(secret("URL", &None, file).unwrap().as_deref(), Some("first"));
        }
        assert_eq!(fs::read_to_string(&pipe).unwrap(), "second");
        second.join().unwrap();
    }
}
