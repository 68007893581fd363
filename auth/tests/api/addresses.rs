//! The spellings of one address, in every request.

use events::Role;
use serde_json::json;

use crate::support::{App, PASSWORD};

/// Groups of spellings of one address.
const SAME: [&[&str]; 6] = [
    &["z@example.org", "Z@Example.ORG", "z@example。org", "ｚ@example.org"],
    &["u@bücher.example", "u@xn--bcher-kva.example", "U@BÜCHER.example", "u@XN--BCHER-KVA.example"],
    &["w@example.org", "\u{feff}w\u{ad}@exam\u{200b}ple.org", "w\u{e0041}\u{fe0f}@example.org\u{200d}"],
    &["a@пример.рф", "a@xn--e1afmkfd.xn--p1ai", "A@ПРИМЕР.РФ"],
    &["σας@example.org", "ΣΑΣ@example.org", "σασ@example.org"],
    &["jürgen@example.org", "ju\u{308}rgen@example.org", "JÜRGEN@example.org"],
];

#[tokio::test]
async fn two_spellings_of_one_address_are_one_account() {
    let app = App::start().await;
    for spellings in SAME {
        let id = app.register(spellings[0]).await.expect(201, "").text("/user/id");
        for spelling in spellings {
            app.register(spelling).await.expect(409, "email-taken");
            let answer = app.login(spelling, PASSWORD).await.expect(200, "");
            assert_eq!(answer.text("/user/id"), id, "{spelling}");
            let granted = app.grant(spelling, Role::Auditor).await;
            assert_eq!(granted.user_id.to_string(), id, "{spelling}");
        }
    }
}

#[tokio::test]
async fn an_admin_finds_an_address_by_any_spelling() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    for spellings in SAME {
        app.register(spellings[0]).await.expect(201, "");
    }
    app.project(app.log().await.len() as u64).await;
    for spellings in SAME {
        for spelling in spellings {
            let answer =
                app.get_as(&admin, &format!("/auth/users?email={}", percent(spelling))).await.expect(200, "");
            assert_eq!(answer.text("/items/0/email"), spellings[0], "{spelling}");
        }
    }
    for bad in ["%00", "%FF", "a%00b"] {
        let answer = app.get_as(&admin, &format!("/auth/users?email={bad}")).await;
        answer.expect(400, "bad-parameter");
    }
}

#[tokio::test]
async fn what_cannot_be_an_address_is_refused() {
    let app = App::start().await;
    for text in [
        "<script>@x.org",
        "z@-x-.org",
        "z@[::1]",
        &format!("{}@example.org", "z".repeat(200)),
        &format!("z@{}.org", "ж".repeat(120)),
    ] {
        let mistakes = app.register(text).await.mistakes();
        assert_eq!(mistakes, [("/email".to_owned(), "invalid-email".to_owned())], "{text}");
        app.login(text, PASSWORD).await.expect(401, "bad-credentials");
    }
}

#[tokio::test]
async fn no_password_contains_the_address_in_any_spelling() {
    let app = App::start().await;
    for password in ["my u@bücher.example", "my U@XN--BCHER-KVA.example"] {
        let body = json!({"email": "u@bücher.example", "password": password});
        let mistakes = app.post("/auth/register").json(&body).send().await.mistakes();
        assert_eq!(mistakes[0].1, "contains-address", "{password}");
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
