//! Converts payloads of older schema versions to the current one, one version at a time.
//!
//! To add version 2 of `task.created`: raise its version in the table of `task.rs`, add the line
//! `("task.created", 1, |payload| …)` to [`STEPS`], and keep the golden files of version 1 as they are.

use serde_json::{Value, json};

/// The wire name, the version that the step starts from, and the payload one version later.
type Step = (&'static str, u16, fn(Value) -> Value);

/// Every step. A version needs none if its payloads can be read as the next version.
const STEPS: &[Step] = &[
    // Version 1 did not say in which session the password was changed, so no session survives it.
    ("account.password_changed", 1, |mut payload| {
        if let Value::Object(members) = &mut payload {
            members.insert("surviving_session".to_owned(), json!(null));
        }
        payload
    }),
];

/// Converts `payload` of `kind` from version `from` to version `to`.
pub(crate) fn upcast(kind: &str, from: u16, to: u16, payload: Value) -> Value {
    lift(STEPS, kind, from, to, payload)
}

fn lift(steps: &[Step], kind: &str, from: u16, to: u16, payload: Value) -> Value {
    (from..to).fold(payload, |payload, version| {
        match steps.iter().find(|(of, starts_from, _)| *of == kind && *starts_from == version) {
            Some((_, _, step)) => step(payload),
            None => payload,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &[Step] = &[
        ("task.created", 1, |payload| json!({ "title": payload["name"] })),
        ("task.created", 3, |payload| json!({ "title": payload["title"], "tags": [] })),
        ("task.renamed", 1, |_| json!("not about this event")),
    ];

    #[test]
    fn steps_run_in_order_up_to_the_version_asked_for() {
        let old = || json!({ "name": "Water the plants" });
        assert_eq!(lift(EXAMPLE, "task.created", 1, 1, old()), old());
        assert_eq!(lift(EXAMPLE, "task.created", 1, 2, old()), json!({ "title": "Water the plants" }));
        assert_eq!(
            lift(EXAMPLE, "task.created", 1, 4, old()),
            json!({ "title": "Water the plants", "tags": [] })
        );
    }

    #[test]
    fn a_version_without_a_step_is_read_unchanged() {
        let payload = json!({ "title": "Water the plants" });
        assert_eq!(lift(EXAMPLE, "task.created", 2, 3, payload.clone()), payload);
        assert_eq!(lift(EXAMPLE, "task.deleted", 1, 9, payload.clone()), payload);
    }
}
