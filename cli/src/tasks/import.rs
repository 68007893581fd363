//! `taskledger tasks import` creates the tasks of a file in batches, each of which takes effect once.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use api_types::{Batch, BatchCommand, BatchOperation, BatchResult, BatchResults};
use clap::Args;
use events::{Description, Status, Tags, Title, sha256};
use runtime::Backoff;
use task_files::{Content, FileTask, Format, Found, TimeZone};

use super::{
    account::Account,
    api_client::{Answer, ApiClient, said},
    format,
};
use crate::{complain, output, settings::Settings};

/// Maximum bytes of a file.
const MAX_BYTES: u64 = 64 << 20;
/// Maximum number of commands of a batch, and of the bytes of their texts. Both are well below the limits of the API.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 256 << 10;
/// Maximum number of attempts for a batch of which some commands cannot be carried out.
const TRIES: u32 = 5;
/// Maximum number of wrong lines that are reported.
const MAX_COMPLAINTS: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    account: Account,
    /// Format [default: by the extension of the file]
    #[arg(long, value_parser = format::parser())]
    format: Option<Format>,
    /// Read and check the file, and create nothing
    #[arg(long)]
    dry_run: bool,
    /// Create the tasks also if this file was imported within a day
    #[arg(long)]
    again: bool,
    /// Time zone of calendar times without one, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    time_zone: TimeZone,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "it is not in the IANA time zone database".to_owned())
}

struct Planned {
    line: u64,
    task: FileTask,
}

impl Import {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let format = format::of(self.format, Some(&self.file))?;
        let bytes = read(&self.file)?;
        let content = task_files::read(format, &bytes, &self.time_zone)
            .with_context(|| self.file.display().to_string())?;
        let planned = plan(content)?;
        if self.dry_run {
            let counted = output::counted(planned.len() as u64, "task");
            output::line(&format!("{counted} can be imported; nothing was created"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let api = self.account.api(settings)?;
        let run = match self.again {
            true => runtime::new_id().to_string(),
            false => String::new(),
        };
        let (mut done, mut failed) = (Done::default(), 0);
        for (number, planned) in batches(&planned).into_iter().enumerate() {
            failed += import(&api, &format!("{run}{number}"), planned, &mut done).await?;
        }
        output::say(&done.to_string());
        if failed > 0 {
            bail!("{} could not be imported as a whole", output::counted(failed, "task"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The tasks that the API has.
#[derive(Debug, Default)]
struct Done {
    created: u64,
    /// Created by an earlier import of the same file.
    before: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, before } = self;
        match before {
            0 => write!(f, "imported {}", output::counted(*created, "task")),
            1 => write!(f, "{created} created, 1 was imported before (--again creates it once more)"),
            _ => {
                write!(f, "{created} created, {before} were imported before (--again creates them once more)")
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{} is larger than {} MiB: split it", path.display(), MAX_BYTES >> 20);
    }
    Ok(bytes)
}

/// The tasks of a file, if all of them can be created.
fn plan(content: Content) -> anyhow::Result<Vec<Planned>> {
    for (name, count) in &content.ignored {
        complain(&format!("{name} is passed over, in {}", output::counted(*count, "place")));
    }
    let count = content.tasks.len();
    let (mut planned, mut wrong) = (Vec::with_capacity(count), 0);
    for Found { line, task } in content.tasks {
        match task.and_then(checked) {
            Ok(task) => planned.push(Planned { line, task }),
            Err(reason) => {
                wrong += 1;
                if wrong <= MAX_COMPLAINTS {
                    complain(&format!("line {line}: {reason}"));
                }
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} of {count} tasks cannot be imported: nothing was created");
    }
    Ok(planned)
}

/// Returns the task if the command API would accept it, and otherwise the reason.
fn checked(task: FileTask) -> Result<FileTask, String> {
    Title::parse(&task.title).map_err(|error| format!("its title {error}"))?;
    if let Some(description) = &task.description {
        Description::parse(description).map_err(|error| format!("its description {error}"))?;
    }
    match Tags::parse(task.tags.iter().map(String::as_str)) {
        Ok(_) => Ok(task),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(format!("its tags: {}", errors.join("; ")))
        }
    }
}

fn batches(planned: &[Planned]) -> Vec<&[Planned]> {
    let mut bytes = 0;
    let mut count = 0;
    planned
        .chunk_by(|_, next| {
            let task = &next.task;
            let description = task.description.as_ref().map_or(0, String::len);
            let tags: usize = task.tags.iter().map(String::len).sum();
            bytes += task.title.len() + description + tags;
            count += 1;
            let goes_on = bytes < BATCH_BYTES && count < BATCH;
            if !goes_on {
                (bytes, count) = (0, 0);
            }
            goes_on
        })
        .collect()
}

/// Creates the tasks of a batch, adds them to `done`, and sets the status of each. Returns how many do not exist or do
/// not have their status yet.
async fn import(api: &ApiClient, place: &str, planned: &[Planned], done: &mut Done) -> anyhow::Result<u64> {
    let create = |task: &FileTask| BatchCommand {
        title: Some(task.title.clone()),
        description: task.description.clone(),
        priority: Some(task.priority),
        due: task.due,
        tags: Some(task.tags.clone()),
        ..BatchCommand::new(BatchOperation::Create, None)
    };
    let commands = planned.iter().map(|planned| create(&planned.task)).collect();
    let (results, is_repeated) = send(api, place, "create", commands).await?;
    let mut failed = 0;
    let (mut moves, mut moved) = (Vec::new(), Vec::new());
    for (planned, result) in planned.iter().zip(results) {
        let Some(task) = &result.task else {
            failed += failure(planned, &result);
            continue;
        };
        match is_repeated {
            true => done.before += 1,
            false => done.created += 1,
        }
        if let Some(operation) = operation(planned.task.status) {
            moves.push(BatchCommand::new(operation, Some(task.id)));
            moved.push(planned);
        }
    }
    if !moves.is_empty() {
        let (results, _) = send(api, place, "status", moves).await?;
        for (planned, result) in moved.into_iter().zip(results) {
            if result.problem.is_some() {
                failed += failure(planned, &result);
            }
        }
    }
    Ok(failed)
}

/// The command that moves a new task to `status`.
fn operation(status: Status) -> Option<BatchOperation> {
    match status {
        Status::Open => None,
        Status::InProgress => Some(BatchOperation::Start),
        Status::Done => Some(BatchOperation::Complete),
        Status::Cancelled => Some(BatchOperation::Cancel),
    }
}

/// Sends a batch. Its idempotency key is derived from its content and its place in the file. Also returns whether an
/// earlier import had sent it.
async fn send(
    api: &ApiClient,
    place: &str,
    what: &str,
    commands: Vec<BatchCommand>,
) -> anyhow::Result<(Vec<BatchResult>, bool)> {
    let count = commands.len();
    let batch = Batch { commands };
    let body = serde_json::to_string(&batch)?;
    let key = sha256(format!("{place} {what} {body}").as_bytes());
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
    for left in (0..TRIES).rev() {
        let Answer { content: answer, is_repeated }: Answer<BatchResults> =
            api.post("/tasks/batch", &batch, &key).await?;
        if answer.results.len() != count {
            bail!("the API answers {count} commands with {} results", answer.results.len());
        }
        // Sending the same batch again retries the commands that could not be carried out.
        let unavailable = answer.results.iter().any(|result| result.status >= 500);
        if left == 0 || !unavailable {
            return Ok((answer.results, is_repeated));
        }
        backoff.wait().await;
    }
    bail!("the batch was not sent")
}

fn failure(planned: &Planned, result: &BatchResult) -> u64 {
    let reason = result.problem.as_ref().map_or_else(|| result.status.to_string(), said);
    complain(&format!("line {}: {reason}", planned.line));
    1
}
