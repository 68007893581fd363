//! Comma-separated values, as spreadsheets write and read them.

use std::{collections::BTreeMap, io::Write};

use api_types::Task;
use csv::{QuoteStyle, ReaderBuilder, StringRecord, Terminator, WriterBuilder};

use crate::{
    Content, FileTask, Found, Unreadable, escaped_list,
    line_numbers::LineNumbers,
    values::{due, name, priority, status},
};

/// The columns, in the order in which they are written.
const COLUMNS: [&str; 10] = [
    "title",
    "description",
    "status",
    "priority",
    "due",
    "tags",
    "id",
    "created_at",
    "updated_at",
    "completed_at",
];
/// The separators of cells in various programs.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A cell that begins with one of these is a formula to one spreadsheet or another (OWASP, "CSV Injection").
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// A cell with this before it is a text.
const TEXT: char = '\'';

pub(crate) fn write_head(out: impl Write) -> Result<(), csv::Error> {
    write_row(out, COLUMNS.map(str::to_owned))
}

pub(crate) fn write_task(out: impl Write, task: &Task) -> Result<(), csv::Error> {
    let or_empty = |instant: Option<events::Timestamp>| instant.map_or_else(String::new, |at| at.to_string());
    write_row(
        out,
        [
            as_text(&task.title),
            as_text(task.description.as_deref().unwrap_or_default()),
            name(task.status),
            name(task.priority),
            task.due.map_or_else(String::new, |due| due.to_string()),
            as_text(&escaped_list::join(&task.tags)),
            task.id.to_string(),
            task.created_at.to_string(),
            task.updated_at.to_string(),
            or_empty(task.completed_at),
        ],
    )
}

fn write_row(out: impl Write, cells: [String; COLUMNS.len()]) -> Result<(), csv::Error> {
    // All cells are quoted, so that the separator of another program does not begin a cell.
    let mut writer =
        WriterBuilder::new().quote_style(QuoteStyle::Always).terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(cells)?;
    writer.flush()?;
    Ok(())
}

/// Marks a text so that no spreadsheet treats it as a formula.
pub fn as_text(text: &str) -> String {
    match text.trim_start_matches(TEXT).starts_with(FORMULA) {
        true => format!("{TEXT}{text}"),
        false => text.to_owned(),
    }
}

/// The text from which [`as_text`] made the cell.
fn from_text(cell: &str) -> &str {
    match cell.strip_prefix(TEXT) {
        Some(text) if text.trim_start_matches(TEXT).starts_with(FORMULA) => text,
        _ => cell,
    }
}

pub(crate) fn read(text: &str) -> Result<Content, Unreadable> {
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| first.bytes().filter(|byte| byte == separator).count();
    let separator = SEPARATORS.into_iter().rev().max_by_key(count).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| Unreadable(error.to_string()))?.clone();
    let names: Vec<String> = head.iter().map(|name| name.trim().to_lowercase().replace(' ', "_")).collect();
    if !names.iter().any(|name| name == "title") {
        return Err(Unreadable(
            "the first line has no column `title`: it must have the names of the columns".to_owned(),
        ));
    }
    if let Some(twice) =
        (1..names.len()).find(|at| !names[*at].is_empty() && names[..*at].contains(&names[*at]))
    {
        return Err(Unreadable(format!("the column `{}` is there twice", names[twice])));
    }
    let mut content = Content::default();
    let mut lines = LineNumbers::new(text);
    for record in reader.records() {
        let record = record.map_err(|error| Unreadable(error.to_string()))?;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        // The position is before the line break of the previous line.
        let line = lines.at(record.position().map_or(0, |position| position.byte() as usize));
        let task = task(&names, &record, &mut content.ignored);
        content.tasks.push(Found { line, task });
    }
    Ok(content)
}

fn task(
    names: &[String],
    record: &StringRecord,
    ignored: &mut BTreeMap<String, u64>,
) -> Result<FileTask, String> {
    if record.len() > names.len() {
        return Err(format!("it has {} cells, and there are {} columns", record.len(), names.len()));
    }
    let cells: BTreeMap<&str, &str> = names.iter().map(String::as_str).zip(record).collect();
    let cell = |name: &str| cells.get(name).copied().filter(|cell| !cell.trim().is_empty());
    for (name, cell) in &cells {
        if !COLUMNS.contains(name) && !cell.trim().is_empty() {
            *ignored.entry((*name).to_owned()).or_default() += 1;
        }
    }
    Ok(FileTask {
        title: from_text(cell("title").ok_or("it has no title")?).to_owned(),
        description: cell("description")
            .map(from_text)
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned),
        status: cell("status").map_or(Ok(events::Status::Open), status)?,
        priority: cell("priority").map_or(Ok(events::Priority::Normal), priority)?,
        due: cell("due").map(due).transpose()?,
        tags: cell("tags")
            .map_or_else(Vec::new, |tags| escaped_list::split(from_text(tags), |escaped| escaped)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line numbers with the titles, or with the errors.
    fn rows(text: &str) -> Vec<(u64, Result<String, String>)> {
        let found = read(text).unwrap().tasks.into_iter();
        found.map(|found| (found.line, found.task.map(|task| task.title))).collect()
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (text, cell) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("-1", "'-1"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("'tis", "'tis"),
            ("1 = 1", "1 = 1"),
        ] {
            assert_eq!(as_text(text), cell);
            assert_eq!(from_text(cell), text);
        }
    }

    #[test]
    fn a_blank_text_is_none_also_when_it_was_kept_from_being_a_formula() {
        let content = read("title,description\na,\"'\t\"\nb,\"'\t=\"\n").unwrap();
        let of = |index: usize| content.tasks[index].task.clone().unwrap().description;
        assert_eq!((of(0), of(1).as_deref()), (None, Some("\t=")));
    }

    #[test]
    fn spreadsheets_choose_the_separator_and_the_order_and_leave_cells_empty() {
        for separator in [",", ";", "\t"] {
            let text = "Due,TITLE,Tags,,Owner\r\n2026-12-01,\"a \"\"b\"\"\nc\",\"x\",,\r\n,,,,\r\n,second\r\n,'=third,,,me\r\n";
            let content = read(&text.replace(',', separator)).unwrap();
            let tasks: Vec<_> = content.tasks.iter().map(|found| found.task.clone().unwrap()).collect();
            assert_eq!(
                (&*tasks[0].title, &*tasks[1].title, &*tasks[2].title),
                ("a \"b\"\nc", "second", "=third")
            );
            assert_eq!(
                (tasks[0].due.map(|due| due.to_string()).as_deref(), tasks[1].due),
                (Some("2026-12-01"), None)
            );
            assert_eq!(content.tasks.iter().map(|found| found.line).collect::<Vec<_>>(), [2, 5, 6]);
            assert_eq!(content.ignored, BTreeMap::from([("owner".to_owned(), 1)]));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |line: u64, reason: &str| (line, Err(reason.to_owned()));
        assert_eq!(
            rows(
                "title,status,priority,due\r\n\r\na,In Progress,HIGH,\r\n,done,,\r\nb,finished,,\r\nc,,,01.12.2026\r\nd,,,,e\r\n"
            ),
            [
                (3, Ok("a".to_owned())),
                wrong(4, "it has no title"),
                wrong(5, "`finished` is none of open, in_progress, done, cancelled"),
                wrong(6, &due("01.12.2026").unwrap_err()),
                wrong(7, "it has 5 cells, and there are 4 columns"),
            ]
        );
        for (text, reason) in
            [("", "no column `title`"), ("name\na", "no column `title`"), ("title,Title\na,b", "twice")]
        {
            assert!(read(text).unwrap_err().to_string().contains(reason), "{text}");
        }
    }
}
