//! The security log has a line for each successful and failed authentication and each denied authorization, whatever
//! else is logged, and no secret in any line.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Deployment, PASSWORD, Person, System, totp_code, until};

#[tokio::test]
async fn embedded_security_log_tells_who_tried_what() {
    the_security_log_tells_who_tried_what(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_log_tells_who_tried_what_on_postgres_and_rabbitmq() {
    the_security_log_tells_who_tried_what(Deployment::Servers).await;
}

#[tokio::test]
async fn embedded_security_log_goes_to_the_file_that_is_set() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("security.log");
    system.set("TASKLEDGER_SECURITY_LOG", file.to_str().unwrap());
    system.launch_all();
    system.ready().await;
    Person::join(&system.base, "ada").await;
    // Processes write the rest of their logs when they end.
    system.terminate_all();
    let text = std::fs::read_to_string(&file).unwrap();
    let events: Vec<String> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].to_string()).collect();
    assert_eq!(events, ["\"register\"", "\"login\""]);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    system.stop().await;
}

/// Sets up a second factor, and guesses its codes until a guess comes too early. Returns how many were checked.
async fn guess_codes(person: &Person) -> usize {
    let enrolled = person.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    let enrolled = enrolled.expect(200).body;
    let code = totp_code(enrolled["secret"].as_str().unwrap());
    // A recovery code does not prove that the app works.
    let recovery = json!({"code": enrolled["recovery_codes"][0]});
    person.post("/auth/me/totp/confirm", recovery).await.expect(401);
    person.post("/auth/me/totp/confirm", json!({"code": code})).await.expect(204);
    let mut judged = 0;
    loop {
        let login = json!({"email": person.email, "password": PASSWORD});
        let half = person.post("/auth/login", login).await.expect(401).body;
        // It is used up, so that it is wrong.
        let guess = json!({"mfa_token": half["mfa_token"], "code": code});
        let answer = person.post("/auth/login/second-factor", guess).await;
        if answer.status == 429 {
            return judged;
        }
        answer.expect(401);
        judged += 1;
        assert!(judged < 20, "nobody has to wait");
    }
}

/// Refreshes, logs out, and uses the access token until it is refused. Returns the id of the account.
async fn refresh_and_log_out(system: &System) -> Value {
    let eve = Person::join(&system.base, "eve").await;
    let id = eve.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let refresh = json!({"refresh_token": eve.refresh_token});
    eve.post("/auth/refresh", refresh).await.expect(200);
    eve.send(Method::POST, "/auth/logout", None).await.expect(204);
    until("the session has ended", Duration::from_secs(30), async || eve.get("/tasks").await.status == 401)
        .await;
    id
}

async fn the_security_log_tells_who_tried_what(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let id = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let mut stranger = ada.clone();
    stranger.token.clear();
    let wrong = json!({"email": ada.email, "password": "a secret that is wrong"});
    // On a slow machine the first delays are over before the next guess comes, but they double.
    let mut judged = 0;
    while stranger.post("/auth/login", wrong.clone()).await.status == 401 {
        judged += 1;
    }
    assert!((5..20).contains(&judged), "{judged}");
    ada.get("/auth/users").await.expect(403);
    let reset = json!({"reset_token": "made up", "new_password": "violet harbour lantern"});
    stranger.post("/auth/reset", reset).await.expect(401);
    let wrong_codes = guess_codes(&Person::join(&system.base, "bob").await).await;
    let over = json!({"mfa_token": "made up", "code": "123456"});
    stranger.post("/auth/login/second-factor", over).await.expect(401);
    let taken = json!({"email": ada.email, "password": PASSWORD});
    stranger.post("/auth/register", taken).await.expect(409);
    stranger.token = "not.a.token".to_owned();
    stranger.get("/tasks").await.expect(401);
    let headers = [("x-request-id", "the-one-that-is-looked-for")];
    stranger.try_send(Method::GET, "/auth/me", None, &headers).await.unwrap().expect(401);

    let eve = refresh_and_log_out(&system).await;

    // Processes write the rest of their logs when they end.
    system.terminate_all();
    let text: String = system.replicas().into_iter().map(|replica| system.log_text(replica)).collect();
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["target"] == "security")
        .collect();
    let find = |event: &str, outcome: &str, reason: Value| -> Vec<&Value> {
        lines
            .iter()
            .filter(|line| line["event"] == event && line["outcome"] == outcome && line["reason"] == reason)
            .collect()
    };
    for (event, outcome, reason, count) in [
        ("register", "success", Value::Null, 3),
        ("register", "failure", json!("email_taken"), 1),
        ("second_factor_enrolment", "success", Value::Null, 1),
        ("second_factor_confirmation", "failure", json!("bad_code"), 1),
        ("second_factor_confirmation", "success", Value::Null, 1),
        ("first_factor", "success", Value::Null, wrong_codes + 1),
        ("second_factor", "failure", json!("token_invalid"), 1),
        ("login", "success", Value::Null, 3),
        ("refresh", "success", Value::Null, 1),
        ("second_factor", "failure", json!("bad_code"), wrong_codes),
        ("second_factor", "failure", json!("too_many_attempts"), 1),
        ("reset", "failure", json!("unknown"), 1),
        ("login", "failure", json!("bad_credentials"), judged),
        ("login", "failure", json!("too_many_attempts"), 1),
        ("role", "denied", json!("admin"), 1),
        ("token", "failure", json!("malformed"), 2),
    ] {
        let found = find(event, outcome, reason.clone());
        assert_eq!(found.len(), count, "{event} {outcome} {reason}: {lines:#?}");
        for line in found {
            assert_eq!(line["client.ip"], "127.0.0.1", "{line}");
            assert!(line["request.id"].is_string(), "{line}");
        }
    }
    let logged_in = find("login", "success", Value::Null)[0];
    assert_eq!((&logged_in["actor.id"], &logged_in["login.methods"]), (&id, &json!("pwd")));
    let refreshed = find("refresh", "success", Value::Null)[0];
    assert_eq!((&refreshed["actor.id"], &refreshed["subject.id"]), (&eve, &eve));
    // Another role than auth has refused it, and knows the owner of the token.
    let ended = find("token", "failure", json!("session_ended"));
    assert!(!ended.is_empty() && ended.iter().all(|line| line["subject.id"] == eve), "{lines:#?}");
    assert_eq!(find("role", "denied", json!("admin"))[0]["actor.id"], id);
    let failures = find("login", "failure", json!("bad_credentials"));
    for (line, number) in failures.iter().zip(1..) {
        assert_eq!((&line["subject.id"], &line["attempt.failures"]), (&id, &json!(number)));
    }
    assert!(
        find("token", "failure", json!("malformed"))
            .iter()
            .any(|line| line["request.id"] == "the-one-that-is-looked-for")
    );
    for secret in [PASSWORD, "a secret that is wrong", &ada.email, &ada.token, "not.a.token"] {
        assert!(lines.iter().all(|line| !line.to_string().contains(secret)), "{secret}: {lines:#?}");
    }
    system.stop().await;
}
