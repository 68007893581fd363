//! `taskledger events export`: the log into a file.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use event_store::describe_gap;
use log_transfer::{End, Export as Exporting, ExportError};
use runtime::private_files;

use crate::{complain, existing_log, output, progress::ProgressDisplay, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// File to write, readable only by its owner; if it exists from an earlier export, it is continued [default: the
    /// standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// First position [default: the beginning of the log, which `import` needs]
    #[arg(long, value_name = "POSITION", default_value_t = 1, hide_default_value = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Last position [default: the end of the log when the export begins]
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
}

impl Export {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let store = existing_log::event_store(settings).await?;
        let store = store.as_ref();
        let head = store.head().await?;
        let to = self.to.map_or(head, |to| to.min(head));
        let after = self.from - 1;
        if to < after {
            bail!(
                "the log ends at position {head}, and the export was to be of positions from {} on",
                self.from
            );
        }
        let display = RefCell::new(ProgressDisplay::new());
        let tell = |position| display.borrow_mut().show(after, position, to);
        let (written, gaps) = match &self.output {
            Some(path) => {
                let mut file = open(path)?;
                let in_file = || format!("{}", path.display());
                let mut export =
                    Exporting::resume(&mut file, after, to, store, &tell).await.with_context(in_file)?;
                let mut out = BufWriter::new(file);
                let written = export.write(store, to, &mut out, tell).await;
                let file = out.into_inner().map_err(io::IntoInnerError::into_error);
                let whole = written.and_then(|end| {
                    file?.sync_all()?;
                    Ok(end)
                });
                (whole.with_context(in_file), export.missing)
            }
            None => {
                let mut export = Exporting::after(after);
                let mut out = BufWriter::new(io::stdout().lock());
                let written = export.write(store, to, &mut out, tell).await;
                (written.map_err(of_output), export.missing)
            }
        };
        display.into_inner().end();
        for gap in &gaps {
            complain(&describe_gap(gap));
        }
        let End { events, position, root, .. } = written?;
        complain(&format!(
            "exported {} up to position {position}, with the root {root}",
            output::counted(events, "event")
        ));
        Ok(match gaps.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// Opens the output file, and locks it against another export.
fn open(path: &Path) -> anyhow::Result<File> {
    let here = || format!("cannot write {}", path.display());
    private_files::create_or_accept(path).with_context(here)?;
    private_files::open_locked(path)
        .with_context(here)?
        .with_context(|| format!("another export or import is at work on {}", path.display()))
}

/// Unwraps an error of the output, so that a closed pipe can be told from a full disk.
fn of_output(error: ExportError) -> anyhow::Error {
    match error {
        ExportError::Io(error) => error.into(),
        error => error.into(),
    }
}
