//! Common passwords are refused, no password is truncated or changed on its way, and hashes that are weaker than new
//! ones are replaced.

use std::fs;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{TIMEOUT, auth_of, log_in, restart_auth, with_token};
use crate::support::{Answer, Deployment, PASSWORD, Person, System, until};

const NEXT: &str = "violet harbour lantern";
/// Its SHA-1 is `AB66858C86140290A0DAECE71763B95B47917889`.
const BREACHED: &str = "quartz-lantern-river";

#[tokio::test(flavor = "multi_thread")]
async fn embedded_passwords_that_are_guessed_soon_are_refused_wherever_one_is_set() {
    weak_passwords_are_refused_wherever_one_is_set(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_that_are_guessed_soon_are_refused_wherever_one_is_set_on_postgres_and_rabbitmq() {
    weak_passwords_are_refused_wherever_one_is_set(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_passwords_are_compared_whole_and_however_they_are_typed() {
    passwords_are_compared_whole_and_however_they_are_typed(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_compared_whole_and_however_they_are_typed_on_postgres_and_rabbitmq() {
    passwords_are_compared_whole_and_however_they_are_typed(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_raised_parameters_renew_a_hash_and_the_audit_trail_calls_it_no_new_password() {
    raised_parameters_renew_a_hash(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_parameters_renew_a_hash_and_the_audit_trail_calls_it_no_new_password_on_postgres_and_rabbitmq()
 {
    raised_parameters_renew_a_hash(Deployment::Servers).await;
}

/// `count` different characters.
fn different(count: usize) -> String {
    ('\u{4e00}'..).take(count).collect()
}

/// Registers an account with this address and `PASSWORD`.
async fn with_address(system: &System, email: &str) -> Person {
    let mut person = Person::join(&system.base, "base").await;
    email.clone_into(&mut person.email);
    let body = json!({"email": email, "password": PASSWORD});
    with_token(&person, "").post("/auth/register", body).await.expect(201);
    person.log_in().await;
    person
}

/// The answers of the three endpoints that set a password: registration, change and reset.
async fn set_everywhere(system: &System, ada: &Person, password: &str) -> [(Answer, &'static str); 3] {
    let anybody = with_token(ada, "");
    let register = json!({"email": ada.email, "password": password});
    let change = json!({"current_password": PASSWORD, "new_password": password});
    let offered = system.run(&["users", "reset", &ada.email]);
    let reset = json!({"reset_token": offered.lines().next().unwrap(), "new_password": password});
    [
        (anybody.post("/auth/register", register).await, "/password"),
        (ada.post("/auth/me/password", change).await, "/new_password"),
        (anybody.post("/auth/reset", reset).await, "/new_password"),
    ]
}

async fn weak_passwords_are_refused_wherever_one_is_set(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let list = system.directory().join("breached.txt");
    fs::write(&list, "AB66858C86140290A0DAECE71763B95B47917889:3\n").unwrap();
    system.set("TASKLEDGER_BREACHED_PASSWORDS", list.display().to_string());
    restart_auth(&mut system, deployment).await;
    let ada = with_address(&system, "lovelace@example.com").await;
    for (password, code) in [
        (&*different(14), "too-short"),
        // This has fifteen code points as it is typed, and eight in NFC.
        ("e\u{301}o\u{301}e\u{301}o\u{301}e\u{301}o\u{301}e\u{301}o", "too-short"),
        (&*different(129), "too-long"),
        ("PasswordPassword", "too-common"),
        ("1qaz2wsx3edc4rfv", "too-common"),
        ("§§§§§§§§§§§§§§§", "repeated"),
        ("abcabcabcabcabcabc", "repeated"),
        ("zyxwvutsrqponmlk", "sequence"),
        ("987654321098765", "sequence"),
        ("lovelace-lovelace", "contains-address"),
        ("my Lovelace@EXAMPLE.com!", "contains-address"),
        ("my taskledger!!!", "contains-address"),
        (BREACHED, "breached"),
    ] {
        for (answer, pointer) in set_everywhere(&system, &ada, password).await {
            let errors = answer.expect(422).body["errors"].clone();
            assert_eq!(
                (&errors[0]["pointer"], &errors[0]["code"], &errors[1]),
                (&json!(pointer), &json!(code), &Value::Null),
                "{password}"
            );
        }
    }
    // No kinds of characters are required, and a common word in a password is accepted.
    let weak_looking = "passwords are a nuisance";
    let body = json!({"current_password": PASSWORD, "new_password": weak_looking});
    ada.post("/auth/me/password", body).await.expect(204);
    log_in(&ada, &ada.email, weak_looking).await.expect(200);
    system.stop().await;
}

async fn passwords_are_compared_whole_and_however_they_are_typed(deployment: Deployment) {
    let system = System::start(deployment).await;
    let anybody = with_token(&Person::join(&system.base, "ada").await, "");
    let register = async |password: &str| {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let body = json!({"email": email, "password": password});
        anybody.post("/auth/register", body).await.expect(201);
        email
    };
    let longest = different(128);
    let email = register(&longest).await;
    log_in(&anybody, &email, &longest).await.expect(200);
    for wrong in [different(127), different(129), format!("{longest} ")] {
        let answer = log_in(&anybody, &email, &wrong).await.expect(401);
        assert_eq!(answer.code(), "bad-credentials");
    }

    let email = register("le cafe\u{301} de\u{301}ja\u{300} vu").await;
    log_in(&anybody, &email, "le café déjà vu").await.expect(200);
    for wrong in ["le cafe deja vu", "Le café déjà vu", " le café déjà vu"] {
        log_in(&anybody, &email, wrong).await.expect(401);
    }
    system.stop().await;
}

/// The types of the events about the password of `person`, the oldest first, once there are `count` of them.
async fn events_about_the_password(person: &Person, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    until("the audit trail has them", TIMEOUT, async || {
        let trail = person.get("/audit/events?limit=100").await;
        let items = trail.body["items"].as_array().cloned().unwrap_or_default();
        let types = items.iter().rev().map(|item| item["type"].as_str().unwrap());
        found = types.filter(|kind| kind.contains("password")).map(str::to_owned).collect();
        found.len() >= count
    })
    .await;
    found
}

async fn raised_parameters_renew_a_hash(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;
    system.set("TASKLEDGER_ARGON2_PASSES", "3");
    restart_auth(&mut system, deployment).await;
    assert!(system.is_running(auth_of(deployment)));
    // A wrong password does not replace the hash. The right one does so once.
    let wrong = log_in(&ada, &ada.email, "a wrong passphrase").await;
    wrong.expect(401);
    ada.log_in().await;
    ada.log_in().await;
    let body = json!({"current_password": PASSWORD, "new_password": NEXT});
    ada.post("/auth/me/password", body).await.expect(204);
    log_in(&ada, &ada.email, NEXT).await.expect(200);
    let expected = ["account.password_rehashed", "account.password_changed"];
    assert_eq!(events_about_the_password(&ada, 2).await, expected);

    // When the parameters are lowered again, a stronger hash stays.
    system.set("TASKLEDGER_ARGON2_PASSES", "2");
    restart_auth(&mut system, deployment).await;
    let entered = log_in(&ada, &ada.email, NEXT).await.expect(200).body;
    let ada = with_token(&ada, entered["access_token"].as_str().unwrap());
    let body = json!({"current_password": NEXT, "new_password": PASSWORD});
    ada.post("/auth/me/password", body).await.expect(204);
    let expected = [expected[0], expected[1], expected[1]];
    assert_eq!(events_about_the_password(&ada, 3).await, expected);
    system.stop().await;
}
