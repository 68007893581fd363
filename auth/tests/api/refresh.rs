//! `POST /auth/refresh`

use std::sync::atomic::Ordering;

use events::{EndReason, Event, SessionEvent};
use serde_json::json;
use test_support::eventually;

use crate::support::{ADA, App};

async fn end_reasons(app: &App) -> Vec<EndReason> {
    let ended = app.payloads("session.ended").await.into_iter();
    ended
        .map(|event| match event {
            Event::Session(SessionEvent::Ended(ended)) => ended.reason,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn exchanges_a_token_for_the_next_one() {
    let app = App::start().await;
    let (_, first) = app.sign_in(ADA).await;
    app.clock.advance(600);
    let answer = app.refresh(&first).await.expect(200, "");
    let second = answer.text("/refresh_token");
    assert_ne!(first, second);
    assert_eq!(answer.body["expires_in"], 900);
    assert_eq!(answer.body["refresh_expires_in"], 259_200, "the session may be idle for three days again");
    assert_eq!(answer.body["user"]["email"], ADA);
    assert!(!answer.header("consistency-token").is_empty());
    app.clock.advance(600);
    app.me(&answer.text("/access_token")).await.expect(200, "");
    app.refresh(&second).await.expect(200, "");
}

#[tokio::test]
async fn a_used_token_ends_the_session() {
    let app = App::start().await;
    let (_, first) = app.sign_in(ADA).await;
    let answer = app.refresh(&first).await.expect(200, "");
    app.clock.advance(30);
    let refused = app.refresh(&first).await.expect(401, "session-ended");
    assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#));
    app.refresh(&answer.text("/refresh_token")).await.expect(401, "session-ended");
    app.me(&answer.text("/access_token")).await.expect(401, "session-ended");
    assert_eq!(end_reasons(&app).await, [EndReason::ReuseDetected]);
}

#[tokio::test]
async fn the_predecessor_of_a_token_that_was_used_ends_the_session_at_once() {
    let app = App::start().await;
    let (_, first) = app.sign_in(ADA).await;
    let second = app.refresh(&first).await.expect(200, "").text("/refresh_token");
    app.refresh(&second).await.expect(200, "");
    app.refresh(&first).await.expect(401, "session-ended");
    assert_eq!(end_reasons(&app).await, [EndReason::ReuseDetected]);
}

#[tokio::test]
async fn a_used_token_from_another_client_ends_the_session_at_once() {
    let app = App::start().await;
    let (_, first) = app.sign_in(ADA).await;
    app.refresh(&first).await.expect(200, "");
    let body = json!({"refresh_token": first});
    let call = app.post("/auth/refresh").json(&body).header("user-agent", "thief");
    call.send().await.expect(401, "session-ended");
    assert_eq!(end_reasons(&app).await, [EndReason::ReuseDetected]);
}

#[tokio::test]
async fn a_client_is_known_again_in_its_network_and_nowhere_else() {
    let app = App::start().await;
    let refresh = async |token: &str, address: &str| {
        let call = app.post("/auth/refresh").json(&json!({"refresh_token": token}));
        call.header("x-forwarded-for", address).send().await
    };
    for (number, first, second, is_same) in [
        (0, "2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", true),
        (1, "2001:db8:1:2::1", "2001:db8:1:3::1", false),
        (2, "192.0.2.1", "::ffff:192.0.2.1", true),
        (3, "192.0.2.1", "192.0.2.2", false),
    ] {
        let (_, token) = app.sign_in(&format!("ada{number}@example.com")).await;
        refresh(&token, first).await.expect(200, "");
        let (status, code) = if is_same { (200, "") } else { (401, "session-ended") };
        refresh(&token, second).await.expect(status, code);
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_repeated_also_elsewhere_and_after_a_restart() {
    let app = App::start().await;
    let (_, first) = app.sign_in(ADA).await;
    app.refresh(&first).await.expect(200, "");
    app.clock.advance(29);
    let restarted = app.replica(|_, _| {}).await;
    let repeated = restarted.refresh(&first).await.expect(200, "");
    restarted.me(&repeated.text("/access_token")).await.expect(200, "");
    app.clock.advance(600);
    app.refresh(&repeated.text("/refresh_token")).await.expect(200, "");
    assert!(end_reasons(&app).await.is_empty());
}

/// A client that waited for some seconds sends the same token again, while the first exchange is still being appended.
#[tokio::test]
async fn a_refresh_that_is_repeated_while_the_log_stands_still_logs_nobody_out() {
    let (app, faults) = App::start_faulty().await;
    let (_, token) = app.sign_in(ADA).await;
    let appends_left = faults.appends_left.load(Ordering::SeqCst);
    let appending = async |count: usize| {
        eventually("the appends have begun", async || {
            faults.appends_left.load(Ordering::SeqCst) == appends_left - count
        })
        .await;
    };
    let log_stands_still = faults.appending.write().await;
    let repeated = async {
        appending(1).await;
        app.clock.advance(8);
        app.refresh(&token).await
    };
    let log_goes_on = async {
        appending(2).await;
        drop(log_stands_still);
    };
    // It polls them in this order, so that the first one is appended first.
    let (first, second, ()) = futures::join!(app.refresh(&token), repeated, log_goes_on);
    for answer in [first, second] {
        let successor = answer.expect(200, "").text("/refresh_token");
        app.refresh(&successor).await.expect(200, "");
    }
    assert!(end_reasons(&app).await.is_empty());
}

/// The answer of the store was lost, and so was that of the search: the `503` comes after all their deadlines.
#[tokio::test]
async fn after_503_a_refresh_can_be_repeated_as_it_was() {
    let (app, faults) = App::start_faulty().await;
    let (_, token) = app.sign_in(ADA).await;
    faults.lose_next_answer.store(true, Ordering::SeqCst);
    app.refresh(&token).await.expect(503, "unavailable");
    app.clock.advance(22);
    app.refresh(&token).await.expect(200, "");
    assert!(end_reasons(&app).await.is_empty());
}

#[tokio::test]
async fn two_tabs_at_replicas_whose_clocks_differ_log_nobody_out() {
    let app = App::start().await;
    for behind in [1, 20] {
        let (_, token) = app.sign_in(&format!("ada{behind}@example.com")).await;
        app.refresh(&token).await.expect(200, "");
        app.clock.advance(-behind);
        app.refresh(&token).await.expect(200, "");
    }
    assert!(end_reasons(&app).await.is_empty());
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_log_nobody_out_whichever_answer_is_kept() {
    let app = App::start().await;
    let replica = app.replica(|_, _| {}).await;
    for round in 0..10 {
        let (_, token) = app.sign_in(&format!("ada{round}@example.com")).await;
        let (one, other) = tokio::join!(app.refresh(&token), replica.refresh(&token));
        let kept = if round % 2 == 0 { one } else { other };
        let kept = kept.expect(200, "").text("/refresh_token");
        app.clock.advance(600);
        app.refresh(&kept).await.expect(200, "");
    }
    assert!(end_reasons(&app).await.is_empty());
}

#[tokio::test]
async fn two_tabs_that_refreshed_at_once_go_on_beside_each_other() {
    let app = App::start().await;
    let (_, token) = app.sign_in(ADA).await;
    let answers = futures::future::join_all((0..12).map(|_| app.refresh(&token))).await;
    let mut tabs = Vec::new();
    for answer in answers {
        tabs.push(answer.expect(200, "").text("/refresh_token"));
    }
    for round in 0..3 {
        for tab in &mut tabs {
            app.clock.advance(60);
            *tab = app.refresh(tab).await.expect(200, "").text("/refresh_token");
        }
        assert!(end_reasons(&app).await.is_empty(), "round {round}");
    }
    // A stolen token that one tab has used still reveals the thief.
    let copied = tabs[3].clone();
    let answer = app.refresh(&copied).await.expect(200, "");
    app.clock.advance(60);
    app.refresh(&copied).await.expect(401, "session-ended");
    app.refresh(&tabs[5]).await.expect(401, "session-ended");
    app.me(&answer.text("/access_token")).await.expect(401, "session-ended");
    assert_eq!(end_reasons(&app).await, [EndReason::ReuseDetected]);
}

#[tokio::test]
async fn of_two_clients_that_refresh_at_once_one_wins_and_the_session_ends() {
    let app = App::start().await;
    let replica = app.replica(|_, _| {}).await;
    for round in 0..10 {
        let (_, token) = app.sign_in(&format!("ada{round}@example.com")).await;
        let body = json!({ "refresh_token": token });
        let thief = replica.post("/auth/refresh").json(&body).header("user-agent", "thief");
        let (one, other) = tokio::join!(app.refresh(&token), thief.send());
        let mut answers = [one, other];
        answers.sort_by_key(|answer| answer.status);
        let [winner, loser] = answers;
        let winner = winner.expect(200, "");
        loser.expect(401, "session-ended");
        app.refresh(&winner.text("/refresh_token")).await.expect(401, "session-ended");
    }
}

#[tokio::test]
async fn a_session_that_is_not_refreshed_for_three_days_ends() {
    let app = App::start().await;
    let (access, token) = app.sign_in(ADA).await;
    let (_, kept_alive) = app.sign_in(ADA).await;
    let day = 24 * 60 * 60;
    app.clock.advance(2 * day);
    let kept_alive = app.refresh(&kept_alive).await.expect(200, "");
    assert_eq!(kept_alive.body["refresh_expires_in"], 3 * day);
    app.me(&access).await.expect(401, "token-expired");
    app.clock.advance(day);
    app.refresh(&token).await.expect(401, "token-expired");
    let answer = app.refresh(&kept_alive.text("/refresh_token")).await.expect(200, "");
    let shown = app.get("/auth/sessions").token(&answer.text("/access_token"));
    let shown = shown.send().await.expect(200, "");
    assert_eq!(shown.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(end_reasons(&app).await, [EndReason::Expired]);
}

#[tokio::test]
async fn unknown_and_garbled_tokens_are_invalid() {
    let app = App::start().await;
    let (_, token) = app.sign_in(ADA).await;
    let mut garbled = token.clone();
    garbled.replace_range(40..41, if &token[40..41] == "A" { "B" } else { "A" });
    let of_another_session = format!("AAAA{}", &token[4..]);
    for text in
        ["", "x", &garbled, &of_another_session, &token[..63], &format!("{token}A"), &format!(" {token}")]
    {
        app.refresh(text).await.expect(401, "token-invalid");
    }
    app.refresh(&token).await.expect(200, "");
    assert!(end_reasons(&app).await.is_empty(), "a guess does not end a session");
}

#[tokio::test]
async fn a_session_expires_seven_days_after_its_login() {
    let app = App::start().await;
    let (_, token) = app.sign_in(ADA).await;
    let mut token = token;
    for _ in 0..3 {
        app.clock.advance(2 * 86_400);
        token = app.refresh(&token).await.expect(200, "").text("/refresh_token");
    }
    app.clock.advance(86_399);
    let answer = app.refresh(&token).await.expect(200, "");
    assert_eq!((&answer.body["expires_in"], &answer.body["refresh_expires_in"]), (&json!(1), &json!(1)));
    app.clock.advance(1);
    for _ in 0..2 {
        app.refresh(&answer.text("/refresh_token")).await.expect(401, "token-expired");
    }
    assert_eq!(end_reasons(&app).await, [EndReason::Expired]);
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    app.me(&refresh).await.expect(401, "token-invalid");
    app.refresh(&access).await.expect(401, "token-invalid");
}

#[tokio::test]
async fn mistakes_of_form_are_told() {
    let app = App::start().await;
    let mistakes = app.post("/auth/refresh").json(&json!({"token": "x"})).send().await.mistakes();
    let pointers: Vec<_> = mistakes.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/refresh_token", "/token"]);
}

#[tokio::test]
async fn a_token_that_is_repeated_too_often_is_refused_and_its_session_lives() {
    let app = App::start().await;
    let (access, first) = app.sign_in(ADA).await;
    let mut successors = Vec::new();
    for _ in 0..events::MAX_REFRESH_TOKENS {
        successors.push(app.refresh(&first).await.expect(200, "").text("/refresh_token"));
    }
    let refused = app.refresh(&first).await.expect(401, "token-invalid");
    assert!(refused.text("/detail").contains("The session lives"), "{refused:?}");
    app.me(&access).await.expect(200, "");
    for successor in &successors {
        app.refresh(successor).await.expect(200, "");
    }
    assert!(end_reasons(&app).await.is_empty());
}
