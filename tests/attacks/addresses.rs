//! Look-alike addresses belong to one account wherever an address is given, and an account without the role `user`
//! has no tasks.

use serde_json::json;

use super::{TIMEOUT, at_once, is_served_everywhere, log_in, stranger, with_token};
use crate::support::{Answer, Deployment, PASSWORD, Person, System, until};

/// Different spellings of one address each: in case, in full-width letters, with another full stop, with characters
/// that nobody sees, in both forms of IDN, with a final sigma, and with combining accents.
const SAME: [&[&str]; 5] = [
    &[
        "z@example.org",
        "Z@Example.ORG",
        "z@example。org",
        "ｚ@example.org",
        "z\u{fe0f}@example.org",
        "z\u{34f}@example.org",
        "z\u{180e}@example.org",
        "z\u{3164}@example.org",
        "z\u{e0041}@example.org",
    ],
    &["u@bücher.example", "u@xn--bcher-kva.example", "U@BÜCHER.example", "u@XN--BCHER-KVA.example"],
    &["a@пример.рф", "a@xn--e1afmkfd.xn--p1ai", "A@ПРИМЕР.РФ"],
    &["σας@example.org", "ΣΑΣ@example.org", "σασ@example.org"],
    &["jürgen@example.org", "ju\u{308}rgen@example.org", "JÜRGEN@example.org"],
];
/// Texts that look much like `z@example.org` on most screens and are not valid addresses.
const NO_ADDRESSES: [&str; 3] = ["z\u{2028}@example.org", "z\u{200a}@example.org", "z\u{3000}@example.org"];

#[tokio::test(flavor = "multi_thread")]
async fn embedded_look_alike_addresses_are_one_account() {
    look_alike_addresses_are_one_account(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn look_alike_addresses_are_one_account_on_postgres_and_rabbitmq() {
    look_alike_addresses_are_one_account(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_account_without_the_role_user_has_no_tasks() {
    an_account_without_the_role_user_has_no_tasks(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_role_user_has_no_tasks_on_postgres_and_rabbitmq() {
    an_account_without_the_role_user_has_no_tasks(Deployment::Servers).await;
}

async fn register(person: &Person, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    person.post("/auth/register", body).await
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn look_alike_addresses_are_one_account(deployment: Deployment) {
    let system = System::start(deployment).await;
    let root = system.join_admin().await;
    let anybody = with_token(&root, "");
    for spellings in SAME {
        let first = spellings[0];
        let registered = register(&anybody, first, PASSWORD).await.expect(201).body;
        let id = &registered["user"]["id"];
        for spelling in spellings {
            let taken = register(&anybody, spelling, PASSWORD).await;
            assert_eq!(taken.expect(409).code(), "email-taken", "{spelling}");
            let entered = log_in(&anybody, spelling, PASSWORD).await.expect(200).body;
            assert_eq!(entered["user"]["id"], *id, "{spelling}");
            let weak = register(&anybody, first, &format!("my {spelling} !")).await;
            assert_eq!(weak.expect(422).body["errors"][0]["code"], "contains-address");
            let path = format!("/auth/users?email={}", percent(spelling));
            until("the admin finds it", TIMEOUT, async || {
                root.get(&path).await.body["items"][0]["id"] == *id
            })
            .await;
        }
        let last = spellings[spellings.len() - 1];
        let granted = system.run(&["users", "grant", last, "auditor"]);
        assert!(granted.contains(id.as_str().unwrap()), "{granted}");
        // An account has one counter of failures. If each spelling had its own, there would be five free guesses at
        // each of them.
        let guesser = stranger(&system.base, [127, 0, 0, 2]);
        let mut judged = 0;
        while log_in(&guesser, spellings[judged % spellings.len()], "a wrong passphrase").await.status == 401
        {
            judged += 1;
            assert!(judged < 5 * spellings.len() - 2, "each spelling is counted by itself");
        }
    }
    for text in NO_ADDRESSES {
        let refused = register(&anybody, text, PASSWORD).await.expect(422);
        assert_eq!(refused.body["errors"][0]["code"], "invalid-email", "{text:?}");
        let refused = log_in(&anybody, text, PASSWORD).await.expect(401);
        assert_eq!(refused.code(), "bad-credentials", "{text:?}");
    }
    system.stop().await;
}

/// The answers to somebody who asks for their tasks in four ways.
async fn asked_for_tasks(person: &Person) -> [Answer; 4] {
    let batch = json!({"commands": [{"op": "create", "title": "Mine"}]});
    [
        person.get("/tasks").await,
        person.get("/tasks/summary").await,
        person.post("/tasks", json!({"title": "Mine"})).await,
        person.post("/tasks/batch", batch).await,
    ]
}

async fn an_account_without_the_role_user_has_no_tasks(deployment: Deployment) {
    let system = System::start(deployment).await;
    let root = system.join_admin().await;
    let mut ada = Person::join(&system.base, "ada").await;
    let wish = json!({"name": "Backup", "scopes": ["tasks:read", "tasks:write"]});
    let made = ada.post("/auth/tokens", wish).await.expect(201).body;
    let program = with_token(&ada, made["token"].as_str().unwrap());
    let id = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let task = ada.post("/tasks", json!({"title": "Hers"})).await.expect(201).body;
    is_served_everywhere(&ada).await;
    let path = format!("/auth/users/{}/roles", id.as_str().unwrap());
    let set_roles = async |roles: &[&str]| {
        let body = Some(json!({ "roles": roles }));
        root.send(reqwest::Method::PUT, &path, body).await.expect(200);
    };

    set_roles(&["auditor"]).await;
    for who in [&ada, &program] {
        at_once("there are no tasks", async || {
            let answers = asked_for_tasks(who).await;
            answers.iter().all(|answer| answer.status == 403 && answer.code() == "forbidden")
        })
        .await;
    }
    ada.log_in().await;
    for answer in asked_for_tasks(&ada).await {
        assert_eq!(answer.expect(403).code(), "forbidden");
    }
    ada.get("/auth/me").await.expect(200);

    // The tasks come back with the role.
    set_roles(&["user"]).await;
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    until("the tasks are back", TIMEOUT, async || ada.get(&path).await.status == 200).await;
    system.stop().await;
}
