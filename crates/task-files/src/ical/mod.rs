//! iCalendar (RFC 5545): a `VTODO` for each task. Other parts, such as alarms, are ignored.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use api_types::Task;
use events::{Due, Priority, Status, Timestamp};
use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::{
    Content, FileTask, Found, Unreadable, escaped_list,
    ical_content_line::{Property, escape, escaped, folded, unescaped, unfolded},
};

const DAY: &str = "%Y%m%d";
const TIME: &str = "%Y%m%dT%H%M%S";

/// An instant with microseconds, which iCalendar's own properties cannot have.
const EXACT_DUE: &str = "X-TASKLEDGER-DUE";

/// Properties that are ignored silently: they are about the calendar entry, or follow from others.
const OF_THE_CALENDAR: [&str; 9] = [
    "UID",
    "DTSTAMP",
    "CREATED",
    "LAST-MODIFIED",
    "SEQUENCE",
    "COMPLETED",
    "PERCENT-COMPLETE",
    "CLASS",
    "DTSTART",
];

pub(crate) fn write_head(mut out: impl Write) -> io::Result<()> {
    out.write_all(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Taskledger//Tasks//EN\r\n")
}

pub(crate) fn write_end(mut out: impl Write) -> io::Result<()> {
    out.write_all(b"END:VCALENDAR\r\n")
}

pub(crate) fn write_task(mut out: impl Write, task: &Task) -> io::Result<()> {
    let mut lines = vec![
        "BEGIN:VTODO".to_owned(),
        format!("UID:{}", task.id),
        format!("DTSTAMP:{}", instant(task.updated_at)),
        format!("CREATED:{}", instant(task.created_at)),
        format!("LAST-MODIFIED:{}", instant(task.updated_at)),
        format!("SUMMARY:{}", escaped(&task.title)),
    ];
    if let Some(description) = &task.description {
        lines.push(format!("DESCRIPTION:{}", escaped(description)));
    }
    lines.push(match task.status {
        Status::Open => "STATUS:NEEDS-ACTION".to_owned(),
        Status::InProgress => "STATUS:IN-PROCESS".to_owned(),
        Status::Done => "STATUS:COMPLETED".to_owned(),
        Status::Cancelled => "STATUS:CANCELLED".to_owned(),
    });
    if let (Status::Done, Some(at)) = (task.status, task.completed_at) {
        lines.push(format!("COMPLETED:{}", instant(at)));
        lines.push("PERCENT-COMPLETE:100".to_owned());
    }
    lines.push(match task.priority {
        Priority::Urgent => "PRIORITY:1".to_owned(),
        Priority::High => "PRIORITY:3".to_owned(),
        Priority::Normal => "PRIORITY:5".to_owned(),
        Priority::Low => "PRIORITY:9".to_owned(),
    });
    match task.due {
        Some(day @ Due::Day(_)) => {
            let day = day.to_string().replace('-', "");
            lines.push(format!("DUE;VALUE=DATE:{day}"));
        }
        Some(Due::At(at)) => {
            lines.push(format!("DUE:{}", instant(at)));
            if at.as_micros() % 1_000_000 != 0 {
                lines.push(format!("{EXACT_DUE}:{at}"));
            }
        }
        None => {}
    }
    if !task.tags.is_empty() {
        let tags: Vec<String> = task.tags.iter().map(|tag| escaped(tag)).collect();
        lines.push(format!("CATEGORIES:{}", tags.join(",")));
    }
    lines.push("END:VTODO".to_owned());
    lines.iter().try_for_each(|line| out.write_all(folded(line).as_bytes()))
}

/// In UTC, to the second.
fn instant(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_second(at.as_seconds()).unwrap_or_default();
    format!("{}Z", TimeZone::UTC.to_datetime(instant).strftime(TIME))
}

pub(crate) fn read(bytes: &[u8], zone: &TimeZone) -> Result<Content, Unreadable> {
    let mut content = Content::default();
    // The open components, outermost first, and the place and properties of the task among them.
    let mut open: Vec<String> = Vec::new();
    let mut task: Option<(u64, Vec<Property>, Result<(), String>)> = None;
    let mut is_calendar = false;
    for (line, text) in unfolded(bytes) {
        let Some(property) = Property::parse(&text) else {
            let wrong = format!("line {line} is no line of iCalendar");
            match &mut task {
                Some((_, _, read)) if open.last().is_some_and(|name| name == "VTODO") => *read = Err(wrong),
                Some(_) => {}
                None if is_calendar => {}
                None => return Err(Unreadable(wrong)),
            }
            continue;
        };
        let component = || property.value.trim().to_uppercase();
        match &*property.name {
            "BEGIN" => {
                is_calendar |= component() == "VCALENDAR";
                if component() == "VTODO" {
                    if task.is_some() {
                        return Err(Unreadable(format!("line {line} begins a VTODO within another")));
                    }
                    task = Some((line, Vec::new(), Ok(())));
                }
                open.push(component());
            }
            "END" => {
                if open.pop().as_ref() != Some(&component()) {
                    return Err(Unreadable(format!(
                        "line {line} ends {}, which is not the last that began",
                        component()
                    )));
                }
                if component() == "VTODO"
                    && let Some((line, properties, read)) = task.take()
                {
                    let task = read.and_then(|()| to_task(&properties, zone, &mut content.ignored));
                    content.tasks.push(Found { line, task });
                } else if task.is_some() {
                    *content.ignored.entry(component()).or_default() += 1;
                }
            }
            _ => {
                if let Some((_, properties, _)) = &mut task
                    && open.last().is_some_and(|name| name == "VTODO")
                {
                    properties.push(property);
                }
            }
        }
    }
    match (is_calendar, open.last()) {
        (false, _) => Err(Unreadable("there is no BEGIN:VCALENDAR in it".to_owned())),
        (true, Some(open)) => Err(Unreadable(format!("it ends before {open} does: it is not whole"))),
        (true, None) => Ok(content),
    }
}

fn to_task(
    properties: &[Property],
    zone: &TimeZone,
    ignored: &mut BTreeMap<String, u64>,
) -> Result<FileTask, String> {
    let mut task = FileTask {
        title: String::new(),
        description: None,
        status: Status::Open,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
    };
    let (mut status, mut exact) = (None, None);
    for property in properties {
        let value = &property.value;
        match &*property.name {
            "SUMMARY" => task.title = unescaped(value).replace('\n', " "),
            "DESCRIPTION" => task.description = Some(unescaped(value)).filter(|text| !text.trim().is_empty()),
            "STATUS" => {
                status = Some(match &*value.trim().to_uppercase() {
                    "NEEDS-ACTION" => Status::Open,
                    "IN-PROCESS" => Status::InProgress,
                    "COMPLETED" => Status::Done,
                    "CANCELLED" => Status::Cancelled,
                    _ => return Err(format!("its STATUS is `{value}`")),
                });
            }
            // For programs that do not write STATUS.
            "COMPLETED" => task.status = Status::Done,
            "PERCENT-COMPLETE" if value.trim() == "100" => task.status = Status::Done,
            "PRIORITY" => {
                task.priority = match value.trim().parse::<u8>() {
                    Ok(1 | 2) => Priority::Urgent,
                    Ok(3 | 4) => Priority::High,
                    Ok(0 | 5) => Priority::Normal,
                    Ok(6..=9) => Priority::Low,
                    _ => return Err(format!("its PRIORITY is `{value}`, and is to be 0 to 9")),
                };
            }
            "DUE" => task.due = Some(due(property, zone)?),
            EXACT_DUE => exact = Some(crate::values::due(value)?),
            "CATEGORIES" => task.tags.extend(escaped_list::split(value, escape)),
            name if OF_THE_CALENDAR.contains(&name) => {}
            name => *ignored.entry(name.to_owned()).or_default() += 1,
        }
    }
    task.status = status.unwrap_or(task.status);
    // Another program that moves the task does not change the exact time.
    if let (Some(Due::At(exact)), Some(Due::At(due))) = (exact, task.due)
        && exact.as_seconds() == due.as_seconds()
    {
        task.due = Some(Due::At(exact));
    }
    if task.title.is_empty() {
        return Err("it has no SUMMARY".to_owned());
    }
    Ok(task)
}

/// Parses a day, an instant in UTC, or a time in a zone: the given one, or `zone`.
fn due(property: &Property, zone: &TimeZone) -> Result<Due, String> {
    let text = property.value.trim();
    let wrong = || format!("its DUE is `{text}`, which is neither a day nor a time");
    if !text.contains('T') {
        let day = Date::strptime(DAY, text).map_err(|_| wrong())?;
        return crate::values::due(&day.to_string());
    }
    let local = DateTime::strptime(TIME, text.trim_end_matches('Z')).map_err(|_| wrong())?;
    let zone = match property.parameter("TZID") {
        _ if text.ends_with('Z') => TimeZone::UTC,
        // Some programs write the name of a file of the time zone database.
        Some(name) => TimeZone::get(name.trim_start_matches('/'))
            .map_err(|_| format!("the time zone `{name}` is not in the IANA time zone database"))?,
        None => zone.clone(),
    };
    let instant = zone.to_timestamp(local).map_err(|_| wrong())?;
    crate::values::due(&instant.to_string())
}

#[cfg(test)]
mod tests;
