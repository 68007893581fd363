//! Output of the operator's commands on the standard output: lines, tables or JSON.

use std::io::{self, Write as _};

use serde_json::Value;
use task_files::text_for_spreadsheets;

/// Writes one line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}

/// Writes one JSON document in one line.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(&value.to_string())
}

/// Writes rows in aligned columns. Numbers are aligned to the right.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
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
        .map(|column| {
            rows.iter()
                .all(|row| row[column].bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    let write = |cells: &[&str]| {
        let mut text = String::new();
        for ((cell, width), numeric) in cells.iter().zip(&widths).zip(&numeric) {
            if !text.is_empty() {
                text.push_str("  ");
            }
            let cell = if *numeric {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            };
            text.push_str(&cell);
        }
        line(text.trim_end())
    };
    write(heads)?;
    for row in rows {
        write(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Writes one line of comma-separated values (RFC 4180). Cells that a spreadsheet would take for a formula are
/// escaped.
pub(crate) fn csv<'a>(cells: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let cells: Vec<String> = cells.into_iter().map(csv_cell).collect();
    line(&cells.join(","))
}

fn csv_cell(text: &str) -> String {
    let text = text_for_spreadsheets(text);
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Returns whether the reader of the output has closed the pipe, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A number with its noun in the right form, such as `1 event` or `2 events`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// What a command says beside its answer, above all why it failed.
#[expect(
    clippy::print_stderr,
    reason = "the one place where a command says why it failed"
)]
pub(crate) fn complain(sentence: &str) {
    eprintln!("taskledger: {sentence}");
}

/// What a command answers, as opposed to what it logs.
#[expect(clippy::print_stdout, reason = "the one place where a command answers")]
pub(crate) fn print(text: &str) {
    print!("{text}");
    let _ = io::stdout().flush();
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
