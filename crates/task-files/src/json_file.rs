//! A JSON array of tasks, as the API shows them. Fields that cannot be set, such as the id, are ignored.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::{
    Content, FileTask, Found, Unreadable,
    line_numbers::LineNumbers,
    values::{due, priority, status},
};

/// Fields that the API shows but nobody can set.
const SHOWN: [&str; 6] = ["id", "created_at", "updated_at", "completed_at", "deleted_at", "version"];

pub(crate) fn read(text: &str) -> Result<Content, Unreadable> {
    let items: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Unreadable(format!("expected a JSON array of tasks: {error}")))?;
    let mut content = Content::default();
    let mut lines = LineNumbers::new(text);
    for item in items {
        // Items are slices of the text.
        let line = lines.at(item.get().as_ptr() as usize - text.as_ptr() as usize);
        let task = task(item.get(), &mut content.ignored);
        content.tasks.push(Found { line, task });
    }
    Ok(content)
}

fn task(item: &str, ignored: &mut BTreeMap<String, u64>) -> Result<FileTask, String> {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, Value>>(item) else {
        return Err("expected a JSON object".to_owned());
    };
    let mut task = FileTask {
        title: String::new(),
        description: None,
        status: events::Status::Open,
        priority: events::Priority::Normal,
        due: None,
        tags: Vec::new(),
    };
    let mut has_title = false;
    for (name, value) in members {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            _ => Err(format!("its {name} is no text")),
        };
        match (name.as_str(), value) {
            ("title", value) => (task.title, has_title) = (text(value)?, true),
            ("description" | "status" | "priority" | "due" | "tags", Value::Null) => {}
            ("description", value) => task.description = Some(text(value)?),
            ("status", value) => task.status = status(&text(value)?)?,
            ("priority", value) => task.priority = priority(&text(value)?)?,
            ("due", value) => task.due = Some(due(&text(value)?)?),
            ("tags", Value::Array(tags)) => {
                task.tags = tags.into_iter().map(text).collect::<Result<_, _>>()?;
            }
            ("tags", _) => return Err("its tags are no array".to_owned()),
            ("deleted_at", Value::String(_)) => return Err("it is in the trash".to_owned()),
            (shown, _) if SHOWN.contains(&shown) => {}
            (other, _) => *ignored.entry(other.to_owned()).or_default() += 1,
        }
    }
    if has_title { Ok(task) } else { Err("it has no title".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = "[{\"title\": \"a\", \"version\": 3, \"colour\": \"red\"},\n\n 7,\n{\"title\": null},\n{\n\"status\": \"open\"}, {\"title\": \"b\", \"deleted_at\": \"2026-01-01T00:00:00Z\"}]";
        let content = read(text).unwrap();
        let found = content.tasks.iter();
        let found: Vec<_> = found
            .map(|found| {
                (found.line, found.task.as_ref().map_or_else(|reason| &**reason, |task| &*task.title))
            })
            .collect();
        assert_eq!(
            found,
            [
                (1, "a"),
                (3, "expected a JSON object"),
                (4, "its title is no text"),
                (5, "it has no title"),
                (6, "it is in the trash"),
            ]
        );
        assert_eq!(content.ignored, BTreeMap::from([("colour".to_owned(), 1)]));
        let broken = read("[{\"title\": \"a\"},\n{]").unwrap_err().to_string();
        assert!(broken.contains("line 2"), "{broken}");
    }
}
