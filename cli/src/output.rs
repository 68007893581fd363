//! Output of the operator's commands on the standard output: lines, tables or JSON.
//!
//! Commands that only show something end at the first line that cannot be written. Commands that do something go on.
//! Neither succeeds then.

use std::{
    future::pending,
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    sync::OnceLock,
};

use serde_json::Value;
use task_files::text_for_spreadsheets;
use tokio::{io::Interest, net::unix::pipe::Sender};

/// The exit code after the reader of the output has gone: that of a program which ends by SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// The error of the first answer that could not be written.
static NOT_WRITTEN: OnceLock<io::Error> = OnceLock::new();

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    Ok(write(text)?)
}

pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    Ok(write(&format!("{text}\n"))?)
}

/// Writes a text about what a command does or has done. When that is not possible the command goes on, and its exit
/// code tells it.
pub(crate) fn print(text: &str) {
    if let Err(error) = write(text) {
        NOT_WRITTEN.get_or_init(|| error);
    }
}

/// Does what [`print()`] does with one line.
pub(crate) fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// The exit code of the process after a command has ended with `code`.
pub(crate) fn exit_code(code: ExitCode) -> ExitCode {
    match NOT_WRITTEN.get() {
        Some(error) if code == ExitCode::SUCCESS => not_written(error),
        _ => code,
    }
}

/// The exit code of the process after a command has failed, if that is because its output cannot be written to a pipe.
pub(crate) fn exit_code_of_broken_pipe(error: &anyhow::Error) -> Option<ExitCode> {
    let error: &io::Error = error.downcast_ref()?;
    (error.kind() == io::ErrorKind::BrokenPipe).then(|| not_written(error))
}

fn not_written(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::from(BROKEN_PIPE);
    }
    complain(&format!("the answer could not be written: {error}"));
    ExitCode::FAILURE
}

/// Follows what may not happen for a long time. It ends when the reader of the output has gone, with the error of
/// writing to it.
pub(crate) async fn while_somebody_reads<T>(
    following: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        followed = following => followed,
        () = nobody_reads() => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
    }
}

/// Waits until the reader of the output has gone. A file has none, so it is waited for without an end.
async fn nobody_reads() {
    let duplicate = io::stdout().as_fd().try_clone_to_owned();
    // Nothing is written to it, so it need not be non-blocking, which the output itself would become, too.
    if let Ok(pipe) = duplicate.and_then(Sender::from_owned_fd_unchecked)
        && pipe.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    pending().await
}

pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(&value.to_string())
}

pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    text(&aligned(heads, rows))
}

/// Lines of rows in aligned columns. Numbers are aligned to the right.
pub(crate) fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .chain([heads[column].chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let numeric: Vec<bool> = (0..heads.len())
        .map(|column| rows.iter().all(|row| row[column].bytes().all(|byte| byte.is_ascii_digit())))
        .collect();
    let mut lines = String::new();
    let mut add = |cells: &[&str]| {
        let mut text = String::new();
        for ((cell, width), numeric) in cells.iter().zip(&widths).zip(&numeric) {
            if !text.is_empty() {
                text.push_str("  ");
            }
            let cell = if *numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            text.push_str(&cell);
        }
        lines.push_str(text.trim_end());
        lines.push('\n');
    };
    add(heads);
    for row in rows {
        add(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    lines
}

/// Writes one line of comma-separated values (RFC 4180). Cells that a spreadsheet would take for a formula are
/// escaped.
pub(crate) fn csv<'a>(cells: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let cells: Vec<String> = cells.into_iter().map(csv_cell).collect();
    line(&cells.join(","))
}

fn csv_cell(text: &str) -> String {
    let text = text_for_spreadsheets(text);
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A number with its noun in the right form, such as `1 event` or `2 events`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Says something beside the answer of a command, above all why it failed.
pub(crate) fn complain(sentence: &str) {
    // There is no other place to say that this is not possible.
    let _ = writeln!(io::stderr(), "taskledger: {sentence}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        for (text, cell) in [
            ("Ticket 4711", "Ticket 4711"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=HYPERLINK(1,2)", "\"'=HYPERLINK(1,2)\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("\t=1", "'\t=1"),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
