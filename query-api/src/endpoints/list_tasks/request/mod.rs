//! Parses the query string of `GET /tasks`.

use std::collections::BTreeSet;

use events::{Due, Tags, fold_text, line};
use http_api::{BadParameter, Parameters};
use serde::{Deserialize, de::value::StrDeserializer};

use crate::{
    endpoints::{MAX_LIMIT, bad_instant},
    tasks::{Filter, Listing, Range},
};

const DEFAULT_LIMIT: u16 = 50;
/// The longest search text in characters, longer than any title.
const MAX_SEARCH: usize = 256;
/// The most words, not counting parts of other words.
const MAX_WORDS: usize = 16;

pub(super) fn parse(mut parameters: Parameters) -> Result<Listing, BadParameter> {
    let given = &mut parameters;
    let filter = Filter {
        statuses: any_of(given, "status", "expected open, in_progress, done or cancelled")?,
        priorities: any_of(given, "priority", "expected low, normal, high or urgent")?,
        tags: tags(given)?,
        due: range(given, "due_after", "due_before")?,
        created: range(given, "created_after", "created_before")?,
        updated: range(given, "updated_after", "updated_before")?,
        completed: range(given, "completed_after", "completed_before")?,
        overdue: flag(given, "overdue")?,
        words: given.single("q", words)?.unwrap_or_default(),
        deleted: flag(given, "deleted")?,
    };
    let sort = given.single("sort", |text| text.parse().map_err(str::to_owned))?.unwrap_or_default();
    let limit = given.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let cursor = given.single("cursor", |text| Ok(text.to_owned()))?;
    let count = flag(given, "count")?;
    parameters.finish()?;
    Ok(Listing { filter, sort, limit, cursor, count })
}

/// Statuses or priorities, by their JSON names. Many clients percent-encode every comma. No name has one, so an encoded
/// comma separates two names here as well.
fn any_of<T: for<'de> Deserialize<'de> + Ord>(
    parameters: &mut Parameters,
    name: &'static str,
    expected: &str,
) -> Result<BTreeSet<T>, BadParameter> {
    let word = |text: &str| T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text));
    let lists: Vec<Vec<T>> = parameters.list(name, |text| {
        let words = text.split(',').map(word).collect::<Result<_, _>>();
        words.map_err(|_| expected.to_owned())
    })?;
    Ok(lists.into_iter().flatten().collect())
}

fn tags(parameters: &mut Parameters) -> Result<BTreeSet<String>, BadParameter> {
    let tags: BTreeSet<String> = parameters.list("tag", |text| {
        // As tags are stored.
        line(text, Tags::MAX_CHARACTERS).map_err(|error| format!("a tag {error}"))
    })?;
    if tags.len() > Tags::MAX {
        return Err(BadParameter::new("tag", format!("a task has at most {} tags", Tags::MAX)));
    }
    Ok(tags)
}

fn range(
    parameters: &mut Parameters,
    after: &'static str,
    before: &'static str,
) -> Result<Range, BadParameter> {
    let bound = |text: &str| Due::parse_start(text).map_err(|error| bad_instant(text, &error));
    Ok(Range { after: parameters.single(after, bound)?, before: parameters.single(before, bound)? })
}

fn flag(parameters: &mut Parameters, name: &'static str) -> Result<bool, BadParameter> {
    let flag = parameters.single(name, |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    })?;
    Ok(flag.unwrap_or_default())
}

fn words(text: &str) -> Result<BTreeSet<String>, String> {
    if text.chars().count() > MAX_SEARCH {
        return Err(format!("at most {MAX_SEARCH} characters can be searched for"));
    }
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Err("control characters cannot be searched for".to_owned());
    }
    let words: BTreeSet<String> = text.split_whitespace().map(fold_text).collect();
    if words.is_empty() {
        return Err("it has no words: leave it out instead".to_owned());
    }
    // Where the longer word occurs, its part does too.
    let is_part = |word: &String| words.iter().any(|other| other != word && other.contains(word.as_str()));
    let words: BTreeSet<String> = words.iter().filter(|word| !is_part(word)).cloned().collect();
    if words.len() > MAX_WORDS {
        return Err(format!("at most {MAX_WORDS} different words can be searched for"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests;
