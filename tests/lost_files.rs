//! Files of the data directory are lost while the rest stays: they are named, and nothing replaces them unnoticed.

use std::{fs, time::Duration};

use crate::{
    restored_log::audit_tree,
    support::{Deployment, Person, System, until},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A stopped system with somebody in it, whose audit tree is signed.
async fn stopped() -> System {
    let mut system = System::start(Deployment::Embedded).await;
    Person::join(&system.base, "ada").await;
    system.read_models_equal_the_log().await;
    until("the audit tree is signed", TIMEOUT, async || {
        audit_tree(&system).await.1 > 0
    })
    .await;
    system.terminate_all();
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_check_names_each_part_that_is_missing() {
    let system = stopped().await;
    let check = |arguments: &[&str]| system.outcome(&[&["restore", "check"], arguments].concat());
    let (code, said) = check(&[]);
    assert_eq!(code, 0, "{said}");
    let aside = system.directory().join("aside");
    for (part, named, way_out) in [
        ("audit-tree.db", "the audit tree", "only a backup"),
        ("keys/audit", "sign the audit tree", "audit rotate-key"),
        ("keys/email-pepper", "the pepper", "backup of the keys"),
        ("keys/0-first.pem", "sign access tokens", "keys rotate"),
    ] {
        let place = system.data_dir().join(part);
        fs::rename(&place, &aside).unwrap();
        let (code, said) = check(&[]);
        assert!(
            code == 1 && said.contains(named) && said.contains(way_out),
            "{part}: {code} {said}"
        );
        let (code, json) = check(&["--json"]);
        assert!(
            code == 1 && json.contains("\"agrees\":false"),
            "{part}: {code} {json}"
        );
        if part.starts_with("keys") {
            let (code, said) = check(&["--repair"]);
            assert!(
                code == 1 && said.contains(named) && said.contains("NOT all"),
                "{part}: {code} {said}"
            );
        }
        fs::rename(&aside, &place).unwrap();
        let (code, said) = check(&[]);
        assert_eq!(code, 0, "{part} is there again: {said}");
    }
    system.stop().await;
}
