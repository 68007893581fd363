//! One event or one stream, with what it says.

use ::events::{RecordedEvent, SECRET_MEMBERS, StreamName};
use anyhow::{Context, bail};
use event_store::{Entry, EventStore, Unreadable};
use serde_json::{Value, json};

use super::page::PAGE;
use crate::output;

pub(super) async fn show(store: &dyn EventStore, what: &str, json: bool) -> anyhow::Result<()> {
    if let Ok(wanted) = what.parse::<u64>() {
        let found = store.record_at(wanted).await?;
        let entry = found.with_context(|| format!("the log has no event at position {wanted}"))?;
        return show_entry(&entry, json);
    }
    let stream = StreamName::raw(what);
    let mut version = 0;
    loop {
        let page = store.stream_page(&stream, version, PAGE).await?;
        match page.version() {
            Some(last) => version = last,
            None if version == 0 => bail!("the log has no stream {stream}"),
            None => return Ok(()),
        }
        for entry in &page.entries {
            show_entry(entry, json)?;
        }
    }
}

fn show_entry(entry: &Entry, json: bool) -> anyhow::Result<()> {
    match entry {
        Ok(event) => show_one(event, json),
        Err(unreadable) if json => output::json(&unreadable_to_json(unreadable)),
        Err(unreadable) => output::line(&format!(
            "{}  {}\n  stream          {} v{}\n  cannot be read  {}",
            unreadable.position, unreadable.kind, unreadable.stream, unreadable.version, unreadable.reason
        )),
    }
}

pub(super) fn unreadable_to_json(unreadable: &Unreadable) -> Value {
    json!({
        "position": unreadable.position,
        "stream": unreadable.stream.as_str(),
        "version": unreadable.version,
        "type": unreadable.kind,
        "unreadable": unreadable.reason,
    })
}

fn show_one(event: &RecordedEvent, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&to_json(event));
    }
    let metadata = &event.metadata;
    let mut lines = vec![
        format!("{}  {}", event.position, event.kind),
        format!("  stream          {} v{}", event.stream, event.version),
        format!("  recorded at     {}", event.recorded_at),
        format!("  event id        {}", event.id),
        format!("  schema version  {}", event.schema_version),
        format!("  subject         {}", metadata.subject),
        format!("  actor           {}", metadata.actor),
        format!("  correlation id  {}", metadata.correlation_id),
        format!("  causation id    {}", metadata.causation_id),
    ];
    if let Some(traceparent) = &metadata.traceparent {
        lines.push(format!("  traceparent     {traceparent}"));
    }
    if let Some(key) = &metadata.idempotency_key {
        lines.push(format!("  idempotency key {key}"));
    }
    if event.is_dropped() {
        lines.push("  payload         dropped from the log; its hash was kept".to_owned());
        return output::line(&lines.join("\n"));
    }
    let data = serde_json::to_string_pretty(&data(event))?;
    lines.extend(data.lines().map(|line| format!("  {line}")));
    output::line(&lines.join("\n"))
}

pub(super) fn to_json(event: &RecordedEvent) -> Value {
    let mut shown = json!({
        "position": event.position,
        "stream": event.stream.as_str(),
        "version": event.version,
        "id": event.id.to_string(),
        "type": event.kind,
        "schema_version": event.schema_version,
        "recorded_at": event.recorded_at.to_string(),
        "metadata": event.metadata,
    });
    let (name, value) = match event.is_dropped() {
        true => ("data_dropped", json!(true)),
        false => ("data", data(event)),
    };
    shown[name] = value;
    shown
}

/// The payload of the event without secrets, or the raw text if it cannot be decoded.
fn data(event: &RecordedEvent) -> Value {
    match serde_json::from_slice::<Value>(&event.data) {
        Ok(mut data) => {
            if let Some(fields) = data.as_object_mut() {
                for (name, value) in fields {
                    if SECRET_MEMBERS.contains(&name.as_str()) {
                        *value = json!("***");
                    }
                }
            }
            data
        }
        Err(_) => json!(String::from_utf8_lossy(&event.data)),
    }
}
