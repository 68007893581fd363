//! Accounts of the former system: each bcrypt hash is accepted for its password and replaced at the first login, and
//! every bad line of the file is reported.

use std::{fs, process::Output};

use serde_json::Value;

use super::{TIMEOUT, log_in, stranger, text, with_token};
use crate::support::{Deployment, System, until};

/// A bcrypt hash of `OLD_PASSWORD` with cost 4.
const HASH: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";
const OLD_PASSWORD: &str = "correctbatteryhorsestapler";

#[tokio::test(flavor = "multi_thread")]
async fn embedded_imported_accounts_log_in_with_their_old_password_and_get_a_hash_of_today() {
    imported_accounts_log_in(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_accounts_log_in_with_their_old_password_and_get_a_hash_of_today_on_postgres_and_rabbitmq() {
    imported_accounts_log_in(Deployment::Servers).await;
}

fn import(system: &System, lines: &str, dry_run: bool) -> (Option<i32>, String, String) {
    let file = system.directory().join("users.csv");
    fs::write(&file, lines).unwrap();
    let mut command = system.tool(&["users", "import", file.to_str().unwrap()]);
    if dry_run {
        command.arg("--dry-run");
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

async fn imported_accounts_log_in(deployment: Deployment) {
    let system = System::start(deployment).await;
    let anybody = stranger(&system.base, [127, 0, 0, 1]);
    let (a, y) = (HASH.replace("$2b$", "$2a$"), HASH.replace("$2b$", "$2y$"));
    let good = format!(
        "email,password_hash,display_name\nada@example.org,{HASH},Ada\nbob@example.org,{a},\n\"carol@example.org\",{y},\n"
    );
    let (code, said, _) = import(&system, &good, true);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("3 accounts would be opened, 0 there already"), "{said}");
    log_in(&anybody, "ada@example.org", OLD_PASSWORD).await.expect(401);
    // The import is broken off after the first line, and run again with two bad lines.
    let first: String = good.lines().take(2).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(import(&system, &first, false).0, Some(0));
    let bad = format!("{good}nobody,{HASH},\nADA@EXAMPLE.ORG,{HASH},\ndave@example.org,$1$old$hash,\n");
    let (code, said, complaints) = import(&system, &bad, false);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("2 accounts opened, 1 there already, 3 lines left out"), "{said}");
    for line in ["line 5 ", "line 6 ", "line 7 "] {
        assert!(complaints.contains(line), "{complaints}");
    }
    assert!(!complaints.contains("EGdrhb") && !complaints.contains("$1$old"), "{complaints}");

    for email in ["ada@example.org", "BOB@example.org", "carol@example.org"] {
        let wrong = log_in(&anybody, email, "correctbatteryhorsestapleR").await;
        assert_eq!(wrong.expect(401).code(), "bad-credentials");
        log_in(&anybody, email, OLD_PASSWORD).await.expect(200);
        let entered = log_in(&anybody, email, OLD_PASSWORD).await.expect(200).body;
        let person = with_token(&anybody, text(&entered, "access_token"));
        let mut replaced = Value::Null;
        until("the audit trail says so", TIMEOUT, async || {
            let trail = person.get("/audit/events?type=account.password_rehashed").await;
            replaced = trail.body["items"].clone();
            replaced.as_array().is_some_and(|items| !items.is_empty())
        })
        .await;
        assert_eq!(replaced.as_array().unwrap().len(), 1, "once: {replaced}");
    }
    system.stop().await;
}
