//! `taskledger tasks export` reads tasks from the API page by page and writes them to a file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use api_types::TaskPage;
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use task_files::{Format, Writer};

use super::{account::Account, api_client::ApiClient, format};
use crate::{complain, output, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    account: Account,
    /// Format [default: by the extension of the file, JSON on the standard output]
    #[arg(long, value_parser = format::parser())]
    format: Option<Format>,
    /// New file to write [default: the standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let format = format::of(self.format, self.output.as_deref())?;
        let api = self.account.api(settings)?;
        let count = match &self.output {
            None => write(&api, format, BufWriter::new(io::stdout().lock())).await?,
            Some(path) => write_file(&api, format, path).await?,
        };
        complain(&format!("exported {}", output::counted(count, "task")));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the tasks to a new file that only its owner can read. Until it is complete it has another name, since it
/// would be taken for all tasks.
async fn write_file(api: &ApiClient, format: Format, path: &Path) -> anyhow::Result<u64> {
    require_free(path, "name another file")?;
    let partial = path.with_added_extension("partial");
    require_free(&partial, "if an interrupted export left it, delete it")?;
    let here = || format!("cannot write {}", partial.display());
    let file = File::options().write(true).create_new(true).mode(0o600).open(&partial).with_context(here)?;
    let written = async {
        let count = write(api, format, BufWriter::new(&file)).await?;
        file.sync_all().with_context(here)?;
        require_free(path, "name another file")?;
        fs::rename(&partial, path).with_context(here)?;
        Ok(count)
    }
    .await;
    if written.is_err() {
        fs::remove_file(&partial).with_context(here)?;
    }
    written
}

fn require_free(path: &Path, advice: &str) -> anyhow::Result<()> {
    ensure!(
        fs::symlink_metadata(path).is_err(),
        "cannot create {}, because it exists: {advice}",
        path.display()
    );
    Ok(())
}

async fn write(api: &ApiClient, format: Format, out: impl Write) -> anyhow::Result<u64> {
    const FIRST: &str = "/tasks?sort=created_at&limit=100";
    // Nothing is written before the API has answered.
    let mut page: TaskPage = api.get(FIRST).await?;
    let mut writer = Writer::begin(format, out)?;
    loop {
        for task in &page.items {
            writer.task(task)?;
        }
        let Some(cursor) = &page.next_cursor else { break };
        let cursor = utf8_percent_encode(cursor, NON_ALPHANUMERIC);
        page = api.get(&format!("{FIRST}&cursor={cursor}")).await?;
    }
    Ok(writer.end()?)
}
