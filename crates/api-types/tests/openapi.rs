//! The OpenAPI document in the repository is the one that the code makes.

use std::{collections::BTreeSet, fs, path::PathBuf};

use api_types::openapi;
use serde_json::Value;

#[test]
fn the_document_in_the_repository_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = openapi::text();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept != made {
        let differs = kept
            .lines()
            .zip(made.lines())
            .position(|(kept, made)| kept != made);
        panic!(
            "docs/openapi.json differs from the code (first in line {:?}). To write it again: \
             UPDATE_OPENAPI=1 cargo test --workspace --test openapi",
            differs.map(|line| line + 1)
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.insert(reference.clone());
            }
            members
                .values()
                .for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_an_answer() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut names = BTreeSet::new();
    for (method, path) in openapi::operations() {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        assert!(operation["summary"].is_string(), "{name}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
    }
}
