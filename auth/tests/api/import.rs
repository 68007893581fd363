//! `taskledger users import`

use std::time::{Duration, Instant};

use events::{Actor, Event};
use test_support::eventually;

use crate::support::{ADA, App, OPERATION, WRONG};

/// A password of the former system.
pub(crate) const OLD: &str = "correctbatteryhorsestapler";
/// bcrypt with cost 4, of [`OLD`].
pub(crate) const HASH: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

async fn import(app: &App, text: &str, dry_run: bool) -> anyhow::Result<auth::Imported> {
    let operation = (!dry_run).then(|| OPERATION.into());
    app.operator().await.import(text.as_bytes(), operation).await
}

#[tokio::test]
async fn opens_accounts_that_log_in_with_their_old_password() {
    let app = App::start().await;
    let old = HASH.replace("$2b$", "$2y$");
    let file =
        format!("password_hash,email,display_name\n{HASH},ada@example.com,Ada\n{old},\"bob@example.com\",\n");
    let dry = import(&app, &file, true).await.unwrap();
    assert_eq!((dry.opened, dry.present, dry.bad.len()), (2, 0, 0));
    assert!(app.log().await.is_empty(), "a dry run writes nothing");
    assert_eq!(import(&app, &file, false).await.unwrap(), dry);
    for recorded in app.log().await {
        assert_eq!(recorded.metadata.actor, Actor::Operator);
    }
    for email in [ADA, "BOB@example.com"] {
        let almost = app.login(email, "correctbatteryhorsestapleR").await;
        almost.expect(401, "bad-credentials");
        app.login(email, OLD).await.expect(200, "");
    }
    let ada = app.login(ADA, OLD).await;
    assert_eq!(ada.text("/user/display_name"), "Ada");
    let rehashed = app.payloads("account.password_rehashed").await;
    assert_eq!(rehashed.len(), 2, "each old hash is replaced once");
    assert!(rehashed.iter().all(|event| matches!(event, Event::Account(_))));
}

/// The duration of a failed login for an address without an account.
async fn time_of_a_failure(app: &App) -> Duration {
    let email = format!("nobody{}@example.com", app.dependencies.clock.now().as_micros());
    let begun = Instant::now();
    app.login(&email, WRONG).await.expect(401, "bad-credentials");
    begun.elapsed()
}

#[tokio::test]
async fn the_first_failure_after_a_start_takes_as_long_as_with_the_dearest_hash_that_was_imported() {
    let app = App::start().await;
    let file = format!("email,password_hash\nada@example.com,{HASH}\n");
    import(&app, &file, true).await.unwrap();
    let operations = &app.dependencies.operations;
    let become_dear = "UPDATE password_hash_costs SET micros = 100000 WHERE kind = '$2b$04'";
    assert_eq!(operations.execute(become_dear, &[]).await.unwrap(), 0, "a dry run");
    let running = app.replica(|config, _| config.failed_login_time = Duration::ZERO).await;
    import(&app, &file, false).await.unwrap();
    assert_eq!(operations.execute(become_dear, &[]).await.unwrap(), 1);
    let three_times = Duration::from_millis(300);
    let started = running.replica(|_, _| {}).await;
    let took = time_of_a_failure(&started).await;
    assert!(took >= three_times, "{took:?}");
    eventually("a replica that was running has heard of it", async || {
        running.clock.advance(900);
        time_of_a_failure(&running).await >= three_times
    })
    .await;
}

/// The number of rounds, of which one must show no difference. A real difference shows in each.
const ROUNDS: usize = 10;
/// Much less than a comparison with the most expensive hash takes.
const NOISE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_failure_with_the_dearest_hash_that_can_be_imported_takes_as_long_as_any_other() {
    let app = App::start().await;
    let dearest = HASH.replace("$04$", "$13$");
    let file = format!("email,password_hash\nada@example.com,{dearest}\n");
    assert_eq!(import(&app, &file, false).await.unwrap().opened, 1);
    let started = app.replica(|config, _| config.failed_login_time = Duration::ZERO).await;
    let mut differences = Vec::new();
    for _ in 0..ROUNDS {
        started.clock.advance(900);
        let begun = Instant::now();
        started.login(ADA, WRONG).await.expect(401, "bad-credentials");
        let took = begun.elapsed();
        let difference = took.abs_diff(time_of_a_failure(&started).await);
        if difference < NOISE {
            return;
        }
        differences.push((took, difference));
    }
    panic!("the time tells: {differences:?}");
}

#[tokio::test]
async fn a_hash_that_is_too_dear_is_named_and_what_it_may_cost() {
    let app = App::start().await;
    for cost in ["14", "15", "31"] {
        let dear = HASH.replace("$04$", &format!("${cost}$"));
        let file = format!("email,password_hash\nada@example.com,{HASH}\nbob@example.com,{dear}\n");
        let imported = import(&app, &file, true).await.unwrap();
        let bad: Vec<_> = imported.bad.iter().map(|bad| bad.line).collect();
        assert_eq!((imported.opened, bad), (1, vec![3]), "{cost}");
        assert!(imported.bad[0].reason.ends_with("with a cost of 4 to 13"), "{:?}", imported.bad);
    }
}

#[tokio::test]
async fn goes_on_where_it_was_broken_off() {
    let app = App::start().await;
    let line = |number: u32| format!("user{number}@example.com,{HASH}\n");
    let first: String = (0..3).map(line).collect();
    let whole: String = (0..5).map(line).collect();
    let names = "email,password_hash\n";
    import(&app, &format!("{names}{first}"), false).await.unwrap();
    let rest = import(&app, &format!("{names}{whole}"), false).await.unwrap();
    assert_eq!((rest.opened, rest.present), (2, 3));
    let again = import(&app, &format!("{names}{whole}"), false).await.unwrap();
    assert_eq!((again.opened, again.present), (0, 5));
    assert_eq!(app.payloads("account.registered").await.len(), 5);
}

#[tokio::test]
async fn every_bad_line_is_named_and_shows_no_hash() {
    let app = App::start().await;
    let dear = HASH.replace("$04$", "$31$");
    let file = format!(
        "email,password_hash,display_name\n\
         ada@example.com,{HASH},Ada\n\
         nobody,{HASH},\n\
         bob@example.com,$1$old$hash,\n\
         carol@example.com,{dear},\n\
         ADA@EXAMPLE.COM,{HASH},\n\
         dave@example.com\n\
         erin@example.com,{HASH},\u{200b}\n\
         frank@example.com,{HASH},Frank\n"
    );
    let imported = import(&app, &file, false).await.unwrap();
    let bad: Vec<_> = imported.bad.iter().map(|bad| bad.line).collect();
    assert_eq!((imported.opened, bad), (2, vec![3, 4, 5, 6, 7, 8]));
    let text = format!("{:?}", imported.bad);
    assert!(!text.contains("$2b$04") && !text.contains("EGdrh"), "{text}");
    assert!(text.contains("same address as line 2"), "{text}");
}

#[tokio::test]
async fn a_quote_that_is_not_closed_takes_no_other_line_with_it() {
    let app = App::start().await;
    let file = format!(
        "email,password_hash,display_name\r\n\
         \"ada@example.com,{HASH},Ada\r\n\
         bob@example.com,{HASH},\"Bob\r\n\
         carol@example.com,{HASH},Carol\r\n\
         dave@example.com,{HASH},\"Dave\nthe second\"\n\
         \n\
         \"erin@example.com\",\"{HASH}\",\"Erin \"\"the\"\" first\"\n\
         frank@example.com,{HASH},\"Frank"
    );
    let imported = import(&app, &file, false).await.unwrap();
    let bad: Vec<_> = imported.bad.iter().map(|bad| bad.line).collect();
    assert_eq!((imported.opened, bad), (2, vec![2, 3, 5, 6, 9]), "{:?}", imported.bad);
    let reason = "has a quote that is not closed on the same line";
    assert!(imported.bad.iter().all(|bad| bad.reason == reason));
    let erin = app.login("erin@example.com", OLD).await;
    assert_eq!(erin.text("/user/display_name"), "Erin \"the\" first");
    app.login("carol@example.com", OLD).await.expect(200, "");
}

#[tokio::test]
async fn lines_that_are_no_text_are_named() {
    let app = App::start().await;
    let mut file = format!("email,password_hash\nada@example.com,{HASH}\nb").into_bytes();
    file.extend(b"\xff@example.com,x\n");
    file.extend(format!("carol@example.com,{HASH}\n").into_bytes());
    let operator = app.operator().await;
    let imported = operator.import(&file[..], Some(OPERATION.into()));
    let imported = imported.await.unwrap();
    let bad: Vec<_> = imported.bad.iter().map(|bad| bad.line).collect();
    assert_eq!((imported.opened, bad), (2, vec![3]));
}

#[tokio::test]
async fn another_kind_of_file_is_refused() {
    let app = App::start().await;
    for text in ["", "ada@example.com,secret\n", "email,name\nada@example.com,Ada\n"] {
        let error = import(&app, text, false).await.unwrap_err();
        assert!(error.to_string().contains("email and password_hash"), "{error}");
    }
    assert!(app.log().await.is_empty());
}
