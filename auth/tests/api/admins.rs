//! `PUT /auth/users/{id}/roles`, `POST /auth/users/{id}/disable` and `/enable`

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use events::{Actor, Admins, Aggregate as _, Event, Role, UserId};
use http::Method;
use serde_json::json;
use test_support::{FaultyStore, eventually};
use tokio::sync::oneshot;

use crate::support::{ADA, Answer, App, PASSWORD};

#[tokio::test]
async fn roles_are_replaced_and_count_at_once() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.register(ADA).await.text("/user/id");
    let (access, _) = app.sign_in(ADA).await;
    app.act(&access, &id, "disable").await.expect(403, "forbidden");
    let answer = app.set_roles(&admin, &id, json!(["user", "admin", "admin"])).await.expect(200, "");
    assert_eq!(answer.body["user"]["roles"], json!(["user", "admin"]));
    assert!(!answer.header("consistency-token").is_empty());
    app.set_roles(&access, &id, json!(["auditor"])).await.expect(200, "");
    app.set_roles(&access, &id, json!(["admin"])).await.expect(403, "forbidden");
}

#[tokio::test]
async fn everybody_else_is_refused_before_the_body_is_read() {
    let app = App::start().await;
    let id = app.register(ADA).await.text("/user/id");
    let (access, _) = app.sign_in(ADA).await;
    for (method, path) in [
        (Method::PUT, format!("/auth/users/{id}/roles")),
        (Method::POST, format!("/auth/users/{id}/disable")),
        (Method::POST, format!("/auth/users/{id}/enable")),
        (Method::POST, format!("/auth/users/{id}/reset")),
        (Method::DELETE, format!("/auth/users/{id}/tokens")),
        (Method::PUT, "/auth/second-factor-roles".to_owned()),
    ] {
        let call = || app.call(method.clone(), &path).token(&access);
        let json = || call().header("content-type", "application/json");
        for refused in [call(), call().raw("{}"), json().raw("{"), json().raw("{\"x\":1}")] {
            refused.send().await.expect(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn the_last_admin_stays() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.me(&admin).await.text("/user/id");
    for projected in [false, true] {
        if projected {
            app.project(app.log().await.len() as u64).await;
        }
        app.set_roles(&admin, &id, json!(["user"])).await.expect(409, "last-admin");
        app.act(&admin, &id, "disable").await.expect(409, "last-admin");
        app.me(&admin).await.expect(200, "");
        app.act(&admin, &id, "enable").await.expect(200, "");
    }
    app.sign_in_admin("deputy@example.com").await;
    app.set_roles(&admin, &id, json!(["user"])).await.expect(200, "");
}

#[tokio::test]
async fn two_admins_who_drop_each_other_leave_one() {
    let app = App::start().await;
    for round in 0..5 {
        let app = if round == 0 { app.replica(|_, _| {}).await } else { App::start().await };
        let (one, two) =
            (app.sign_in_admin("one@example.com").await, app.sign_in_admin("two@example.com").await);
        let ids = (app.id_of(&one).await, app.id_of(&two).await);
        tokio::join!(app.set_roles(&one, &ids.1, json!([])), app.set_roles(&two, &ids.0, json!([])));
        let admins = futures::future::join_all([&one, &two].map(|token| app.me(token))).await;
        let count = admins.iter().filter(|me| me.body["user"]["roles"].to_string().contains("admin")).count();
        assert!(count >= 1, "{admins:?}");
    }
}

/// Does `meanwhile` between the next append of `command` and whatever that does then.
async fn interrupted<T>(
    faults: &FaultyStore,
    command: impl Future<Output = T>,
    meanwhile: impl Future<Output = ()>,
) -> T {
    let (release, held) = oneshot::channel();
    *faults.hold_next_answer.lock().unwrap() = Some(held);
    let meanwhile = async {
        eventually("the command appends", async || faults.hold_next_answer.lock().unwrap().is_none()).await;
        meanwhile.await;
        release.send(()).unwrap();
    };
    tokio::join!(command, meanwhile).0
}

/// The admins, who must be the same in their stream and in those of the accounts.
async fn admins(app: &App, token: &str) -> BTreeSet<UserId> {
    let log = app.log().await;
    let named = log.iter().fold(None, |admins, recorded| match recorded.try_into().unwrap() {
        Event::Admins(event) => Admins::evolve(admins, &(), &event, recorded.version, recorded.recorded_at),
        _ => admins,
    });
    let named = named.unwrap_or_default();
    app.project(log.len() as u64).await;
    let listed = app.get_as(token, "/auth/users?role=admin").await;
    let listed = listed.expect(200, "");
    let listed = listed.body["items"].as_array().unwrap().iter();
    let listed = listed.filter(|item| item["disabled"] == false);
    let listed: BTreeSet<UserId> = listed.map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(named.accounts, listed);
    listed
}

/// The tokens and ids of three admins.
async fn three_admins(app: &App) -> ([String; 3], [String; 3]) {
    let emails = ["one@example.com", "two@example.com", "three@example.com"];
    let (mut tokens, mut ids) = (Vec::new(), Vec::new());
    for email in emails {
        let token = app.sign_in_admin(email).await;
        ids.push(app.me(&token).await.text("/user/id"));
        tokens.push(token);
    }
    (tokens.try_into().unwrap(), ids.try_into().unwrap())
}

#[tokio::test]
async fn an_admin_who_is_being_removed_does_not_come_back() {
    for is_disabled in [false, true] {
        for meanwhile in ["enable", "disable and enable", "give the role"] {
            let (app, faults) = App::start_faulty().await;
            let ([one, _, three], [_, id, _]) = three_admins(&app).await;
            let removal = async {
                match is_disabled {
                    true => app.act(&one, &id, "disable").await,
                    false => app.set_roles(&one, &id, json!(["user"])).await,
                }
            };
            let other = async {
                if meanwhile == "give the role" {
                    let given = app.set_roles(&three, &id, json!(["user", "admin"])).await;
                    given.expect(200, "");
                    return;
                }
                for action in meanwhile.split(" and ") {
                    app.act(&three, &id, action).await.expect(200, "");
                }
            };
            let removed = interrupted(&faults, removal, other).await.expect(200, "");
            assert!(!removed.body["user"]["roles"].to_string().contains("admin"), "{meanwhile}: {removed:?}");
            assert_eq!(admins(&app, &one).await.len(), 2, "{meanwhile}");
            let login = app.login("two@example.com", PASSWORD).await;
            match is_disabled {
                true => drop(login.expect(403, "account-disabled")),
                false => assert_eq!(login.expect(200, "").body["user"]["roles"], json!(["user"])),
            }
        }
    }
}

#[tokio::test]
async fn an_admin_who_is_disabled_twice_at_once_is_one_again_when_enabled() {
    let (app, faults) = App::start_faulty().await;
    let ([one, _, three], [_, id, _]) = three_admins(&app).await;
    let mut second = Box::pin(app.act(&three, &id, "disable"));
    let first = interrupted(&faults, app.act(&one, &id, "disable"), async {
        // It meets the first one between its two appends, and waits for it.
        let early = tokio::time::timeout(Duration::from_millis(500), &mut second).await;
        assert!(early.is_err(), "{early:?}");
    });
    first.await.expect(200, "");
    second.await.expect(200, "");
    app.act(&one, &id, "enable").await.expect(200, "");
    assert_eq!(admins(&app, &one).await.len(), 3);
}

#[tokio::test]
async fn an_admin_who_is_removed_while_somebody_enables_them_stays_removed() {
    let (app, faults) = App::start_faulty().await;
    let ([one, _, three], [_, id, _]) = three_admins(&app).await;
    app.act(&three, &id, "disable").await.expect(200, "");
    let enabled = interrupted(&faults, app.act(&three, &id, "enable"), async {
        app.set_roles(&one, &id, json!(["user"])).await.expect(200, "");
    });
    let enabled = enabled.await.expect(200, "");
    assert_eq!(enabled.body["user"]["roles"], json!(["user"]));
    assert_eq!(admins(&app, &one).await.len(), 2);
}

#[tokio::test]
async fn a_role_whose_removal_was_broken_off_does_not_come_back_with_the_account() {
    let (app, faults) = App::start_faulty().await;
    let ([one, ..], [_, id, _]) = three_admins(&app).await;
    faults.accounts.store(true, Ordering::SeqCst);
    app.set_roles(&one, &id, json!(["user"])).await.expect(503, "unavailable");
    faults.accounts.store(false, Ordering::SeqCst);
    app.act(&one, &id, "disable").await.expect(200, "");
    let enabled = app.act(&one, &id, "enable").await.expect(200, "");
    assert_eq!(enabled.body["user"]["roles"], json!(["user"]));
    assert_eq!(admins(&app, &one).await.len(), 2);
}

#[tokio::test]
async fn an_admin_who_is_made_while_somebody_sets_other_roles_stays_one() {
    let (app, faults) = App::start_faulty().await;
    let ([one, _, three], _) = three_admins(&app).await;
    let ada = app.register(ADA).await.text("/user/id");
    let changed = interrupted(&faults, app.set_roles(&one, &ada, json!(["auditor"])), async {
        let given = app.set_roles(&three, &ada, json!(["user", "admin"])).await;
        given.expect(200, "");
    });
    changed.await.expect(200, "");
    assert_eq!(admins(&app, &one).await.len(), 4);
}

#[tokio::test]
async fn whoever_is_removed_meanwhile_makes_nobody_an_admin() {
    let (app, faults) = App::start_faulty().await;
    let ([one, two, _], [_, id, _]) = three_admins(&app).await;
    let (access, _) = app.sign_in(ADA).await;
    let ada = app.id_of(&access).await;
    let verifier = app.verifier().await;
    let given = interrupted(&faults, app.set_roles(&two, ada, json!(["user", "auditor", "admin"])), async {
        app.set_roles(&one, &id, json!(["user"])).await.expect(200, "");
        assert!(verifier.verify(&access).await.unwrap().roles.contains(&Role::Auditor));
    });
    given.await.expect(403, "forbidden");
    let login = app.login(ADA, PASSWORD).await.expect(200, "");
    assert_eq!(login.body["user"]["roles"], json!(["user"]));
    // Whoever remembers the roles that the refused request had written is told, too.
    eventually("the roles are taken back everywhere", async || {
        !verifier.verify(&access).await.unwrap().roles.contains(&Role::Auditor)
    })
    .await;
    assert_eq!(admins(&app, &one).await.len(), 2);
    let log = app.log().await;
    let changed = log.iter().rfind(|recorded| recorded.kind == "account.roles_changed");
    assert_eq!(changed.unwrap().metadata.actor, Actor::System);
}

#[tokio::test]
async fn disabling_ends_every_session_until_enabled() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (access, refresh) = app.sign_in(ADA).await;
    let id = app.me(&access).await.text("/user/id");
    for _ in 0..2 {
        let answer = app.act(&admin, &id, "disable").await.expect(200, "");
        assert_eq!(answer.text("/user/id"), id);
    }
    app.me(&access).await.expect(401, "session-ended");
    app.refresh(&refresh).await.expect(401, "session-ended");
    app.login(ADA, PASSWORD).await.expect(403, "account-disabled");
    app.act(&admin, &id, "enable").await.expect(200, "");
    app.me(&access).await.expect(401, "session-ended");
    app.sign_in(ADA).await;
}

#[tokio::test]
async fn a_login_that_races_with_disabling_keeps_no_session() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    for round in 0..10 {
        let email = format!("ada{round}@example.com");
        let id = app.register(&email).await.text("/user/id");
        let logins = futures::future::join_all((0..4).map(|_| app.login(&email, PASSWORD)));
        let (disabled, logins) = tokio::join!(app.act(&admin, &id, "disable"), logins);
        disabled.expect(200, "");
        app.act(&admin, &id, "enable").await.expect(200, "");
        for login in logins.iter().filter(|login| login.status == 200) {
            app.me(&login.text("/access_token")).await.expect(401, "session-ended");
        }
    }
}

#[tokio::test]
async fn what_is_done_already_is_answered_with_a_state_no_older_than_the_one_that_it_led_to() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.register(ADA).await.text("/user/id");
    for _ in 0..3 {
        app.login(ADA, PASSWORD).await.expect(200, "");
    }
    let position = |answer: Answer| -> u64 {
        let answer = answer.expect(200, "");
        let token: events::ConsistencyToken = answer.header("consistency-token").parse().unwrap();
        let subject = events::ConsistencyToken::new(id.parse().unwrap(), 0);
        assert!(token.same_subject(subject));
        token.position
    };
    app.set_roles(&admin, &id, json!(["admin", "user"])).await.expect(200, "");
    for action in ["disable", "enable"] {
        let first = position(app.act(&admin, &id, action).await);
        let events = app.log().await.len();
        let again = position(app.act(&admin, &id, action).await);
        assert!(again >= first, "{action}: {again} after {first}");
        assert_eq!(app.log().await.len(), events, "nothing happened again");
    }
}

#[tokio::test]
async fn accounts_that_are_not_there_are_not_found() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let nobody = uuid::Uuid::now_v7().to_string();
    let unhyphenated = nobody.replace('-', "");
    for id in [&*nobody, "nonsense", &unhyphenated] {
        app.set_roles(&admin, id, json!(["user"])).await.expect(404, "not-found");
        app.act(&admin, id, "disable").await.expect(404, "not-found");
        app.act(&admin, id, "enable").await.expect(404, "not-found");
    }
    for (roles, pointer, code) in [
        (json!(["king"]), "/roles/0", "unknown-role"),
        (json!("admin"), "/roles", "wrong-type"),
        (json!([1]), "/roles/0", "wrong-type"),
        (json!(null), "/roles", "required"),
    ] {
        let mistakes = app.set_roles(&admin, &nobody, roles).await.mistakes();
        assert_eq!(mistakes, [(pointer.to_owned(), code.to_owned())]);
    }
    let several = app.set_roles(&admin, &nobody, json!(["king", "user", 1])).await;
    let several = several.mistakes().into_iter().map(|(pointer, _)| pointer);
    assert_eq!(several.collect::<Vec<_>>(), ["/roles/0", "/roles/2"]);
}
