//! A task is unchanged after it was written and read in each format, except for fields that the format lacks.

use api_types::Task;
use events::{Due, Priority, Status, TaskId, Timestamp, line, paragraphs};
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

use crate::{FileTask, Format, TimeZone, Writer, read};

/// Texts with characters that have a meaning in one of the formats, in spreadsheets, or in splitting lines.
const TEXT: &str = "['=+@\\\\\\\\,;:\"\\-\\t n0é＝👨\u{200d}\u{2028}\u{85}]{1,40}|\\PC{1,120}";
const TEXTS: &str = "['=+@\\\\\\\\,;:\"\\-\\t\r\n n0é＝👨\u{200d}]{0,80}";

fn lines(max: usize) -> impl Strategy<Value = String> {
    TEXT.prop_filter_map("no line", move |text| line(&text, max).ok())
}

fn due() -> impl Strategy<Value = Due> {
    (0..=Timestamp::MAX.as_micros(), 0..3_u8).prop_map(|(micros, kind)| {
        let at = Timestamp::from_micros(micros);
        match kind {
            0 => at.to_string()[..10].parse().unwrap(),
            1 => Due::At(Timestamp::from_micros(micros / 1_000_000 * 1_000_000)),
            _ => Due::At(at),
        }
    })
}

fn task() -> impl Strategy<Value = Task> {
    let statuses = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];
    let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
    let description = TEXTS.prop_filter_map("no paragraphs", |text| paragraphs(&text, 10_000).ok());
    (
        lines(200),
        option::of(description),
        proptest::sample::select(statuses.to_vec()),
        proptest::sample::select(priorities.to_vec()),
        option::of(due()),
        vec(lines(50), 0..4),
    )
        .prop_map(|(title, description, status, priority, due, tags)| Task {
            id: TaskId(Uuid::from_u128(7)),
            title,
            description,
            status,
            priority,
            due,
            tags,
            created_at: Timestamp::from_micros(1),
            updated_at: Timestamp::from_micros(2_000_000),
            completed_at: (status == Status::Done).then(|| Timestamp::from_micros(3_000_000)),
            deleted_at: None,
            version: 3,
        })
}

/// The expected result of reading a written task.
fn expected(task: &Task, format: Format) -> FileTask {
    let text = task.description.clone();
    let not_blank = text.clone().filter(|text| !text.trim().is_empty());
    FileTask {
        title: task.title.clone(),
        description: match format {
            Format::Json => text,
            Format::Csv => not_blank,
            Format::Ical => not_blank.map(|text| text.replace("\r\n", "\n").replace('\r', "\n")),
        },
        status: task.status,
        priority: task.priority,
        due: task.due,
        tags: task.tags.clone(),
    }
}

proptest! {
    #[test]
    fn every_task_comes_back(tasks in vec(task(), 0..5)) {
        for format in [Format::Json, Format::Csv, Format::Ical] {
            let mut file = Vec::new();
            let mut writer = Writer::begin(format, &mut file).unwrap();
            for task in &tasks {
                writer.task(task).unwrap();
            }
            prop_assert_eq!(writer.end().unwrap(), tasks.len() as u64);
            let content = read(format, &file, &TimeZone::get("Asia/Tokyo").unwrap()).unwrap();
            prop_assert_eq!(&content.ignored.len(), &0);
            let found: Vec<FileTask> = content.tasks.into_iter().map(|found| found.task.unwrap()).collect();
            let expected: Vec<FileTask> = tasks.iter().map(|task| expected(task, format)).collect();
            prop_assert_eq!(found, expected, "{:?} {}", format, String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn no_file_makes_it_panic(bytes in any::<Vec<u8>>(), text in "(BEGIN|END|VTODO|VCALENDAR|DUE|[\\[\\]{}\",:;\r\n 0T]){0,60}") {
        for format in [Format::Json, Format::Csv, Format::Ical] {
            let _ = read(format, &bytes, &TimeZone::UTC);
            let _ = read(format, text.as_bytes(), &TimeZone::UTC);
        }
    }
}
