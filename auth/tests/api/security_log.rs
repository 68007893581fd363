//! The security log of auth: everything in the table of the documentation is written, and nothing else.

use std::{cell::RefCell, collections::BTreeSet, io, sync::Once, time::Duration};

use serde_json::{Value, json};

use crate::{
    second_factor::{code, confirm, enroll, go_on, remove, wrong},
    support::{ADA, App, NEW, PASSWORD, WRONG},
};

const LAST: &str = "marble bicycle teapot";

thread_local! {
    /// What is written on this thread, while a [`SecurityLog`] asks for it.
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The security log of this thread, on which everything in a test happens.
struct SecurityLog;

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some(written) = written {
                written.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SecurityLog {
    fn begin() -> Self {
        // For all threads: with one for a thread alone, a line may be lost that another thread is the first to write.
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_env_filter("security=info")
                .with_writer(|| Writer)
                .init();
        });
        WRITTEN.set(Some(Vec::new()));
        Self
    }

    #[expect(clippy::unused_self, reason = "only who asked for the log may read it")]
    fn lines(&self) -> Vec<Value> {
        let written = WRITTEN.with_borrow(|written| written.clone().unwrap_or_default());
        let text = String::from_utf8(written).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for SecurityLog {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

/// The event, the outcome, and the reason if the documentation lists the reasons.
type Kind = (String, String, Option<String>);

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The contents of the documentation's table.
fn documented() -> BTreeSet<Kind> {
    let document = include_str!("../../../docs/operations.md");
    let (_, section) = document.split_once("\n## The security log\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut kinds = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        let (events, outcomes) = (in_backticks(cells[1]), cells[2]);
        // The head of the table.
        if outcomes.contains("`outcome`") {
            continue;
        }
        for outcome in outcomes.split(';') {
            let (outcome, reasons) = outcome.split_once(':').unwrap_or((outcome, ""));
            let outcome = in_backticks(outcome)[0];
            let mut reasons: Vec<_> = in_backticks(reasons).into_iter().map(Some).collect();
            if reasons.is_empty() {
                reasons.push(None);
            }
            for event in &events {
                kinds.extend(reasons.iter().map(|reason| {
                    let reason = reason.map(str::to_owned);
                    ((*event).to_owned(), outcome.to_owned(), reason)
                }));
            }
        }
    }
    kinds
}

fn kind(line: &Value) -> Kind {
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    let outcome = text("outcome");
    // For a denial, the reason is a role or scope.
    let reason = line["reason"].as_str().filter(|_| outcome != "denied");
    (text("event"), outcome, reason.map(str::to_owned))
}

async fn half_a_login(app: &App, email: &str) -> String {
    let half = app.login(email, PASSWORD).await;
    half.expect(401, "second-factor-required").text("/mfa_token")
}

async fn accounts(app: &App, admin: &str) {
    app.register(ADA).await.expect(409, "email-taken");
    app.register_from("203.0.113.9", "eve@example.com").await.expect(201, "");
    let used_up = "UPDATE address_allowances SET full_at = 4000000000000000";
    app.dependencies.operations.execute(used_up, &[]).await.unwrap();
    app.register_from("203.0.113.9", "eva@example.com").await.expect(429, "rate-limited");

    let (access, _) = app.sign_in("bob@example.com").await;
    let id = app.me(&access).await.text("/user/id");
    for _ in 0..5 {
        app.login("bob@example.com", WRONG).await.expect(401, "bad-credentials");
    }
    app.login("bob@example.com", PASSWORD).await.expect(429, "rate-limited");
    app.clock.advance(60);
    app.act(admin, &id, "disable").await.expect(200, "");
    app.login("bob@example.com", PASSWORD).await.expect(403, "account-disabled");
    let offered = app.offer_reset("bob@example.com", false).await;
    app.reset(&offered.token, LAST).await.expect(403, "account-disabled");
    app.act(admin, &id, "enable").await.expect(200, "");
    app.reset(&offered.token, LAST).await.expect(204, "");
    let offered = app.offer_reset("bob@example.com", false).await;
    app.clock.advance(3_600);
    app.reset(&offered.token, LAST).await.expect(401, "token-expired");
    app.reset("made up", LAST).await.expect(401, "token-invalid");
}

async fn passwords(app: &App) {
    let (access, _) = app.sign_in("dora@example.com").await;
    app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    for _ in 0..3 {
        app.change_password(&access, WRONG, LAST).await.expect(401, "bad-credentials");
    }
    app.change_password(&access, NEW, LAST).await.expect(429, "rate-limited");
}

async fn second_factors(app: &App, admin: &str) {
    const EMAIL: &str = "carol@example.com";
    let (access, _) = app.sign_in(EMAIL).await;
    let id = app.me(&access).await.text("/user/id");
    let secret = enroll(app, &access, PASSWORD).await.text("/secret");
    for _ in 0..5 {
        let guess = wrong(app, &secret);
        confirm(app, &access, &guess).await.expect(401, "bad-credentials");
    }
    confirm(app, &access, &code(app, &secret, 0)).await.expect(429, "rate-limited");
    app.clock.advance(30);
    confirm(app, &access, &code(app, &secret, 0)).await.expect(204, "");
    app.clock.advance(60);
    go_on(app, "made up", "123456").await.expect(401, "token-invalid");

    let half = half_a_login(app, EMAIL).await;
    app.act(admin, &id, "disable").await.expect(200, "");
    go_on(app, &half, &code(app, &secret, 0)).await.expect(403, "account-disabled");
    app.act(admin, &id, "enable").await.expect(200, "");
    let half = half_a_login(app, EMAIL).await;
    let begun = go_on(app, &half, &code(app, &secret, 0)).await.expect(200, "");
    let access = begun.text("/access_token");
    let half = half_a_login(app, EMAIL).await;
    for _ in 0..5 {
        go_on(app, &half, &wrong(app, &secret)).await.expect(401, "bad-credentials");
    }
    let half = half_a_login(app, EMAIL).await;
    go_on(app, &half, &wrong(app, &secret)).await.expect(429, "rate-limited");
    app.clock.advance(30);
    for (status, problem) in [(401, "bad-credentials"), (429, "rate-limited")] {
        let guess = wrong(app, &secret);
        remove(app, &access, &guess).await.expect(status, problem);
    }
    app.clock.advance(60);
    for (status, problem) in [(401, "bad-credentials"), (429, "rate-limited")] {
        let body = json!({"password": PASSWORD, "code": wrong(app, &secret)});
        app.erase(&access, body).await.expect(status, problem);
    }
    app.clock.advance(120);
    let right = code(app, &secret, 0);
    remove(app, &access, &right).await.expect(204, "");
    app.erase(&access, json!({ "password": PASSWORD })).await.expect(204, "");
}

async fn tokens(app: &App) {
    let (access, first) = app.sign_in("frank@example.com").await;
    app.get_as(&access, "/auth/users").await.expect(403, "forbidden");
    let body = json!({"name": "Backup", "scopes": ["tasks:read"]});
    let made = app.post("/auth/tokens").token(&access).json(&body).send().await;
    app.me(&made.text("/token")).await.expect(403, "forbidden");
    app.me("not.a.token").await.expect(401, "token-invalid");

    app.refresh("made up").await.expect(401, "token-invalid");
    for _ in 0..events::MAX_REFRESH_TOKENS {
        app.refresh(&first).await.expect(200, "");
    }
    app.refresh(&first).await.expect(401, "token-invalid");
    app.clock.advance(30);
    for _ in 0..2 {
        app.refresh(&first).await.expect(401, "session-ended");
    }
    app.me(&access).await.expect(401, "session-ended");
    let (access, refresh) = app.sign_in("frank@example.com").await;
    app.clock.advance(3 * 24 * 60 * 60);
    app.me(&access).await.expect(401, "token-expired");
    app.refresh(&refresh).await.expect(401, "token-expired");
}

async fn quick() -> App {
    let app = App::start().await;
    app.replica(|config, _| config.failed_login_time = Duration::ZERO).await
}

#[tokio::test]
async fn everything_that_the_documents_name_is_written_and_nothing_else() {
    let log = SecurityLog::begin();
    let app = quick().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (ada, _) = app.sign_in(ADA).await;
    let id = app.me(&ada).await.text("/user/id");
    second_factors(&app, &admin).await;
    passwords(&app).await;
    accounts(&app, &admin).await;
    tokens(&app).await;

    let lines = log.lines();
    let written: BTreeSet<_> = lines.iter().map(kind).collect();
    assert_eq!(written, documented());
    let is_known = |line: &Value| line["subject.id"].is_string() || line["outcome"] == "denied";
    let of_nobody: BTreeSet<_> = lines.iter().filter(|line| !is_known(line)).map(kind).collect();
    let nobody_known = [
        ("register", "email_taken"),
        ("register", "too_many_attempts"),
        // It does not reveal whether an account has the address.
        ("login", "too_many_attempts"),
        ("refresh", "malformed"),
        ("reset", "unknown"),
        ("second_factor", "token_invalid"),
        ("token", "malformed"),
    ];
    let nobody_known =
        nobody_known.map(|(event, reason)| (event.to_owned(), "failure".to_owned(), Some(reason.to_owned())));
    assert_eq!(of_nobody, BTreeSet::from(nobody_known), "{lines:#?}");
    for line in lines.iter().filter(|line| line["outcome"] == "success") {
        // After a password only, the person is not known yet.
        let is_half = line["event"] == "first_factor";
        assert!(is_half || line["actor.id"] == line["subject.id"], "{line}");
    }
    let logins = lines.iter().filter(|line| line["event"] == "login" && line["outcome"] == "success");
    let methods: BTreeSet<_> = logins.clone().map(|line| line["login.methods"].as_str()).collect();
    assert_eq!(methods, BTreeSet::from([Some("pwd"), Some("pwd otp mfa")]));
    assert_eq!(logins.filter(|line| line["subject.id"] == id).count(), 1);
}

/// A change of the password counts two guesses, and the line says so.
#[tokio::test]
async fn both_passwords_of_a_change_are_guesses() {
    let log = SecurityLog::begin();
    let app = quick().await;
    let (access, _) = app.sign_in(ADA).await;
    app.change_password(&access, WRONG, LAST).await.expect(401, "bad-credentials");
    let lines = log.lines();
    let failed = lines.iter().find(|line| line["outcome"] == "failure").unwrap();
    assert_eq!((&failed["event"], &failed["attempt.failures"]), (&json!("password_check"), &json!(2)));
    app.change_password(&access, WRONG, PASSWORD).await.expect(204, "");
    assert_eq!(log.lines().last().unwrap()["event"], "password_change_repeated");
}

/// Also when the account is disabled between the check of the password and the append.
#[tokio::test]
async fn every_login_that_is_refused_is_written() {
    let log = SecurityLog::begin();
    let app = quick().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.me(&access).await.text("/user/id");
    let mut refused = 0;
    for _ in 0..6 {
        let logins = futures::future::join_all((0..8).map(|_| app.login(ADA, PASSWORD)));
        let (logins, disabled) = tokio::join!(logins, app.act(&admin, &id, "disable"));
        disabled.expect(200, "");
        refused += logins.iter().filter(|login| login.status == 403).count();
        app.act(&admin, &id, "enable").await.expect(200, "");
    }
    let lines = log.lines();
    let written = lines.iter().filter(|line| line["reason"] == "account_disabled");
    assert_eq!(written.count(), refused);
}
