//! What the operator's tools say: lines on the standard output, as tables or as JSON.

use std::io::{self, Write as _};

use serde_json::Value;

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

/// Writes rows in columns as wide as they need to be. Numbers stand at the right.
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

/// Writes one line of comma-separated values (RFC 4180).
pub(crate) fn csv<'a>(cells: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let cells: Vec<String> = cells.into_iter().map(csv_cell).collect();
    line(&cells.join(","))
}

fn csv_cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Whether whoever read the output has gone, as `head` does when it has seen enough.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `1 event`, `2 events`
pub(crate) fn counted(number: u64, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
