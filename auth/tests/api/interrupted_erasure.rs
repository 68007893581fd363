//! Erasures that are interrupted come to their end.

use std::sync::atomic::Ordering;

use events::{
    AccountErased, AccountEvent, Actor, Encoded, Encoding, Metadata, OperationEvent, OperationId,
    OperationStarted, Role, StreamName, UserId,
};
use serde_json::{Value, json};
use test_support::eventually;

use crate::{
    erase_me::{count, forget_pending_erasures, is_released},
    second_factor::{code, enrolled},
    support::{ADA, App, OPERATION, PASSWORD},
};

#[tokio::test]
async fn wherever_an_erasure_is_broken_off_it_comes_to_its_end() {
    broken_off_at_any_append(async |app| (app.sign_in_admin(ADA).await, json!({ "password": PASSWORD })))
        .await;
}

#[tokio::test]
async fn an_erasure_that_is_broken_off_uses_no_code_up() {
    broken_off_at_any_append(async |app| {
        let (access, secret, _) = enrolled(app).await;
        app.grant(ADA, Role::Admin).await;
        (access, json!({"password": PASSWORD, "code": code(app, &secret, 0)}))
    })
    .await;
    broken_off_at_any_append(async |app| {
        let (access, _, recovery) = enrolled(app).await;
        app.grant(ADA, Role::Admin).await;
        (access, json!({"password": PASSWORD, "code": recovery[0]}))
    })
    .await;
}

/// Lets the erasure of an admin fail after each number of appends. `begin` returns their token, and the body of the
/// request, which is sent again while nobody is erased.
async fn broken_off_at_any_append(begin: impl AsyncFn(&App) -> (String, Value)) {
    for appends in 0.. {
        let (app, faults) = App::start_faulty().await;
        app.sign_in_admin("root@example.com").await;
        let (access, body) = begin(&app).await;
        faults.appends_left.store(appends, Ordering::SeqCst);
        let answer = app.erase(&access, body.clone()).await;
        faults.appends_left.store(usize::MAX, Ordering::SeqCst);
        let is_erased = app.kinds().await.iter().any(|kind| kind == "account.erased");
        if answer.status == 204 {
            assert!(is_erased && is_released(&app).await);
            assert!(appends >= 3, "no fault struck");
            return;
        }
        answer.expect(503, "unavailable");
        if !is_erased {
            app.erase(&access, body).await.expect(204, "");
            continue;
        }
        // What a process that ended did not complete, another one does.
        let other = app.replica(|_, _| {}).await;
        eventually("the address is released", async || is_released(&other).await).await;
        other.register(ADA).await.expect(201, "");
    }
}

#[tokio::test]
async fn an_operator_sees_who_it_is_and_can_finish_what_was_broken_off() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let holder = app.operator().await.find_also_erased("ADA@example.com").await.unwrap();
    assert_eq!((holder.user_id, holder.email.as_deref()), (id, Some(ADA)));
    assert!(holder.last_login_at.is_some() && !holder.is_erased);

    let erase = async || {
        let operator = app.operator().await;
        let holder = operator.find_also_erased(ADA).await?;
        operator.erase(holder.user_id, OPERATION.into()).await
    };
    faults.appends_left.store(1, Ordering::SeqCst);
    erase().await.unwrap_err();
    app.me(&access).await.expect(401, "session-ended");
    forget_pending_erasures(&app).await;
    faults.appends_left.store(usize::MAX, Ordering::SeqCst);
    let finished = erase().await.unwrap();
    assert!(finished.user_id == id && !finished.changed);
    let nobody = erase().await.unwrap_err().to_string();
    assert!(nobody.contains("nobody has registered"), "{nobody}");
    let log = app.log().await;
    let by = |kind: &str| log.iter().rfind(|event| event.kind == kind).unwrap().metadata.actor;
    assert_eq!(by("account.erased"), Actor::Operator);
    assert_eq!(by("email.released"), Actor::System);
}

#[tokio::test]
async fn a_record_that_this_build_cannot_read_keeps_no_erasure_from_its_end() {
    for is_erased in [false, true] {
        let app = App::start().await;
        let (access, _) = app.sign_in(ADA).await;
        let id = app.id_of(&access).await;
        let erased = is_erased.then(|| AccountEvent::from(AccountErased {}).encode());
        app.append(&StreamName::account(id), id, std::iter::once(exploded()).chain(erased)).await;
        let begun = "INSERT INTO pending_erasures (subject, begun_at) VALUES ($1, $2)";
        let now = app.dependencies.clock.now().as_micros();
        let values = [id.0.into(), now.into()];
        app.dependencies.operations.execute(begun, &values).await.unwrap();
        let app = app.restarted().await;
        if is_erased {
            eventually("the address is released", async || is_released(&app).await).await;
        }
        app.clock.advance(600);
        eventually("the erasure is not pending any more", async || {
            count(&app, "pending_erasures").await == 0
        })
        .await;
        assert_eq!(is_released(&app).await, is_erased);
    }
}

/// An event of a later release.
pub(crate) fn exploded() -> Encoded {
    Encoded { kind: "account.exploded", schema_version: 1, encoding: Encoding::Json, data: "{}".into() }
}

/// An operator has begun to erase the person `id`; returns the stream of the operation.
pub(crate) async fn operation_begun(app: &App, id: UserId) -> StreamName {
    let operation = StreamName::operation(OperationId(OPERATION.parse().unwrap()));
    let started = OperationEvent::from(OperationStarted {
        command: "users erase".into(),
        by: "grace".into(),
        reason: None,
    });
    let append = aggregate::Append {
        stream: &operation,
        expected_version: 0,
        not_before: events::Timestamp::MIN,
        events: &[started],
        metadata: &Metadata {
            subject: id,
            actor: Actor::Operator,
            correlation_id: OPERATION.into(),
            causation_id: uuid::Uuid::nil(),
            traceparent: None,
            idempotency_key: None,
        },
    };
    aggregate::append(&*app.dependencies.store, &*app.clock, append).await.unwrap();
    operation
}

/// Waits until the end of the interrupted `operation` about the person `id` is recorded.
pub(crate) async fn operation_is_concluded(app: &App, operation: &StreamName, id: UserId) {
    app.clock.advance(120);
    eventually("the operation has ended", async || {
        let log = app.log().await;
        let finished = log.iter().filter(|event| event.kind == "operation.finished");
        let finished: Vec<_> = finished
            .map(|event| (event.stream.clone(), event.metadata.actor, event.metadata.subject))
            .collect();
        finished == [(operation.clone(), Actor::System, id)]
    })
    .await;
}

#[tokio::test]
async fn an_operators_command_that_was_killed_is_concluded_by_whoever_finishes_the_erasure() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let operation = operation_begun(&app, id).await;
    faults.appends_left.store(1, Ordering::SeqCst);
    app.operator().await.erase(id, OPERATION.into()).await.unwrap_err();
    faults.appends_left.store(usize::MAX, Ordering::SeqCst);

    operation_is_concluded(&app, &operation, id).await;
}

#[tokio::test]
async fn what_a_late_command_has_left_of_an_erased_person_goes() {
    let app = App::start().await;
    let mut people = Vec::new();
    for email in [ADA, "bob@example.com"] {
        let (access, _) = app.sign_in(email).await;
        people.push((app.id_of(&access).await, access));
    }
    // The log is from a backup from before somebody registered who was erased.
    let unknown: UserId = "01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9f".parse().unwrap();
    app.dependencies.keys.destroy(unknown).await.unwrap();
    people.push((unknown, String::new()));
    let password = json!({ "password": PASSWORD });
    app.erase(&people[0].1, password).await.expect(204, "");
    forget_pending_erasures(&app).await;
    let operations = &app.dependencies.operations;
    for (person, _) in &people {
        for sql in [
            "INSERT INTO account_snapshots (owner, fold, version, state) VALUES ($1, 3, 1, 'sealed')",
            "INSERT INTO task_snapshots (task_id, owner, fold, version, state) VALUES ($1, $1, 1, 1, '{}')",
        ] {
            operations.execute(sql, &[person.0.into()]).await.unwrap();
        }
    }
    let app = app.restarted().await;
    eventually("only one person's data is left", async || {
        count(&app, "account_snapshots").await == 1 && count(&app, "task_snapshots").await == 1
    })
    .await;
    let left = "SELECT owner FROM account_snapshots UNION ALL SELECT owner FROM task_snapshots";
    let left = app.dependencies.operations.fetch_all(left, &[]).await.unwrap();
    assert!(left.iter().all(|row| row.uuid("owner").unwrap() == people[1].0.0));
    app.clock.advance(120);
    let app = app.restarted().await;
    eventually("nothing more is left to be done for anybody", async || {
        count(&app, "pending_erasures").await == 0
    })
    .await;
}
