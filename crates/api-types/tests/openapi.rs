//! The OpenAPI document in the repository is the one that the code makes.

use std::{collections::BTreeSet, fs, path::PathBuf};

use api_types::{
    AuditPage, BatchResults, ConsistencyProof, Jwks, Liveness, ManagedUsers, NewProgramToken, OfferedReset,
    ProgramTokens, Readiness, SecondFactorRoles, Sessions, Task, TaskChanges, TaskHistory, TaskPage,
    TaskSummary, Tokens, TotpEnrolment, UserBody, openapi,
};
use events::{EventDigest, sha256};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use transparency_log::{InclusionProof, entry_hash, leaf_hash};

/// The public key of the log that the examples of the audit are from.
const EXAMPLE_KEY: &str = "taskledger.local/01a2d31c4f5b7c2d8e9f0a1b2c3d4e5f+2a93a41f+\
                           AUvq3isjNDC5cYuqzs8P4FHLIqILbXmlqfxa2HOI4vc8";

#[test]
fn the_document_in_the_repository_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = openapi::text();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept != made {
        let differs = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
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
            members.values().for_each(|member| collect_references(member, references));
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

/// The bodies of requests and of answers that say that it worked: what each is called, and its content.
fn bodies(document: &Value) -> Vec<(String, Value)> {
    let mut bodies = Vec::new();
    for (method, path) in openapi::operations() {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        let answers = operation["responses"].as_object().into_iter().flatten();
        let successes = answers.filter(|(status, _)| status.starts_with('2'));
        let contents = successes
            .map(|(status, answer)| (status.as_str(), &answer["content"]))
            .chain([("request", &operation["requestBody"]["content"])]);
        for (which, content) in contents {
            for (media_type, content) in content.as_object().into_iter().flatten() {
                let name = format!("{method} {path}, {which}, {media_type}");
                bodies.push((name, content.clone()));
            }
        }
    }
    bodies
}

#[test]
fn every_body_has_an_example() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let bodies = bodies(&document);
    assert!(bodies.len() > 50, "{bodies:?}");
    let bare: Vec<_> = bodies
        .iter()
        .filter(|(_, content)| content["example"].is_null() && content["examples"].is_null())
        .map(|(name, _)| name)
        .collect();
    assert!(bare.is_empty(), "{bare:#?}");
}

/// Tells whether a value is one of a type.
type IsOne = fn(&Value) -> bool;

/// Whether a value of `T` is written as this.
fn is_a<T: DeserializeOwned + Serialize>(example: &Value) -> bool {
    let read = serde_json::from_value::<T>(example.clone());
    read.is_ok_and(|read| serde_json::to_value(read).is_ok_and(|written| written == *example))
}

#[test]
fn every_example_is_one_of_its_type() {
    let answers: [(&str, IsOne); 20] = [
        ("AuditPage", is_a::<AuditPage>),
        ("BatchResults", is_a::<BatchResults>),
        ("ConsistencyProof", is_a::<ConsistencyProof>),
        ("Jwks", is_a::<Jwks>),
        ("Liveness", is_a::<Liveness>),
        ("ManagedUsers", is_a::<ManagedUsers>),
        ("NewProgramToken", is_a::<NewProgramToken>),
        ("OfferedReset", is_a::<OfferedReset>),
        ("ProgramTokens", is_a::<ProgramTokens>),
        ("Readiness", is_a::<Readiness>),
        ("SecondFactorRoles", is_a::<SecondFactorRoles>),
        ("Sessions", is_a::<Sessions>),
        ("Task", is_a::<Task>),
        ("TaskChanges", is_a::<TaskChanges>),
        ("TaskHistory", is_a::<TaskHistory>),
        ("TaskPage", is_a::<TaskPage>),
        ("TaskSummary", is_a::<TaskSummary>),
        ("Tokens", is_a::<Tokens>),
        ("TotpEnrolment", is_a::<TotpEnrolment>),
        ("UserBody", is_a::<UserBody>),
    ];
    let document = serde_json::to_value(openapi::document()).unwrap();
    for (name, content) in bodies(&document) {
        let Some(schema) = content["schema"]["$ref"].as_str() else {
            continue;
        };
        let example = &content["example"];
        let answer = answers.iter().find(|(name, _)| schema.ends_with(&format!("/{name}")));
        match answer {
            Some((_, is_one)) => assert!(is_one(example), "{name}: {example}"),
            None => has_the_members_of(document.pointer(&schema[1..]).unwrap(), example, &name),
        }
    }
}

/// Requests cannot be read as their types, which are only described.
fn has_the_members_of(schema: &Value, example: &Value, name: &str) {
    assert!(name.contains("request"), "{name}: {schema} is not in the list of answers");
    let members = example.as_object().into_iter().flat_map(|members| members.keys());
    for member in members {
        assert!(schema["properties"][member].is_object(), "{name}: {member}");
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for member in required.filter_map(Value::as_str) {
        assert!(!example[member].is_null(), "{name}: {member}");
    }
}

#[test]
fn the_examples_of_the_audit_belong_together() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let example = |path: &str, media_type: &str| {
        let content = &document["paths"][path]["get"]["responses"]["200"]["content"][media_type];
        content["example"].as_str().unwrap().to_owned()
    };
    let export = example("/audit/export", "application/x-ndjson");
    let line: Value = serde_json::from_str(&export).unwrap();
    let event: EventDigest = serde_json::from_value(line["event"].clone()).unwrap();
    let hash_of = |member: &str| sha256(line[member].as_str().unwrap().as_bytes());
    assert_eq!(hash_of("metadata"), event.metadata_sha256);
    assert_eq!(hash_of("data"), event.data_sha256);

    let text = example("/audit/proof", "text/plain; charset=utf-8");
    let proof: InclusionProof = text.parse().unwrap();
    let leaf = leaf_hash(&entry_hash(&event.canonical()).0);
    proof.verify(leaf, &[EXAMPLE_KEY.parse().unwrap()]).unwrap();
    let checkpoint = example("/audit/checkpoint", "text/plain; charset=utf-8");
    assert_eq!(checkpoint, proof.checkpoint.to_string());
}
