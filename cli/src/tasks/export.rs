//! `taskledger tasks export` reads tasks from the API page by page and writes them to a file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use api_types::TaskPage;
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use task_files::Writer;

use super::{account::Account, api_client::ApiClient, format::Format};
use crate::{complain, output, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    account: Account,
    /// Format [default: by the extension of the file, JSON on the standard output]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// New file to write [default: the standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let format = Format::of(self.format, self.output.as_deref())?;
        let api = self.account.api(settings)?;
        let count = match &self.output {
            None => write(&api, format, BufWriter::new(io::stdout().lock())).await?,
            Some(path) => {
                let file = File::options()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path);
                let file = file.with_context(|| format!("cannot create {}", path.display()))?;
                let written = write(&api, format, BufWriter::new(file)).await;
                if written.is_err() {
                    // An incomplete file is removed, since it would be taken for all tasks.
                    fs::remove_file(path)?;
                }
                written?
            }
        };
        complain(&format!("exported {}", output::counted(count, "task")));
        Ok(ExitCode::SUCCESS)
    }
}

async fn write(api: &ApiClient, format: task_files::Format, out: impl Write) -> anyhow::Result<u64> {
    let mut writer = Writer::begin(format, out)?;
    let mut path = "/tasks?sort=created_at&limit=100".to_owned();
    loop {
        let page: TaskPage = api.get(&path).await?;
        for task in &page.items {
            writer.task(task)?;
        }
        let Some(cursor) = page.next_cursor else { break };
        let cursor = utf8_percent_encode(&cursor, NON_ALPHANUMERIC);
        path = format!("/tasks?sort=created_at&limit=100&cursor={cursor}");
    }
    Ok(writer.end()?)
}
