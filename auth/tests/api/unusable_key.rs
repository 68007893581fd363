//! People whose key is damaged or lost: no request answers `500`, nobody else is affected, and they can be erased.

use std::sync::atomic::Ordering;

use database::{Database, Value};
use events::UserId;
use http::Method;
use runtime::Clock as _;
use serde_json::json;
use test_support::eventually;

use crate::{
    erase_me::forget_pending_erasures,
    interrupted_erasure::{operation_begun, operation_is_concluded},
    program_tokens,
    support::{ADA, App, OPERATION, PASSWORD, WRONG},
};

const ROOT: &str = "root@example.com";
/// A request id that is encrypted, because it is not a UUID.
const REQUEST: (&str, &str) = ("x-request-id", "by-hand");

/// Damages of the row of a key.
const DAMAGES: [&str; 4] = [
    "DELETE FROM data_keys WHERE subject = $1",
    "UPDATE data_keys SET wrapped = zeroblob(60) WHERE subject = $1",
    "UPDATE data_keys SET wrapped = NULL WHERE subject = $1",
    "UPDATE data_keys SET master_key = 'nobody' WHERE subject = $1",
];

#[derive(Debug, Clone, Copy)]
enum ErasedBy {
    Themselves,
    Address,
    Id,
}

async fn strike(keys: &Database, damage: &str, subject: UserId) {
    assert_eq!(keys.execute(damage, &[subject.0.into()]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_damaged_or_lost_key_concerns_nobody_else_and_its_person_can_be_erased() {
    let ways = [ErasedBy::Themselves, ErasedBy::Address, ErasedBy::Id];
    for (damage, erased_by) in DAMAGES.into_iter().zip(ways.into_iter().cycle()) {
        let app = App::start().await;
        let root = app.sign_in_admin(ROOT).await;
        let (access, refresh) = app.sign_in(ADA).await;
        let ada = app.id_of(&access).await;
        // The stream of the admins, which everybody needs, has an event that is encrypted under her key.
        let roles = app.call(Method::PUT, &format!("/auth/users/{ada}/roles"));
        let roles = roles.header(REQUEST.0, REQUEST.1).token(&root);
        let promoted = roles.json(&json!({"roles": ["user", "admin"]})).send().await;
        promoted.expect(200, "");

        strike(&app.keys_database().await, damage, ada).await;
        let app = app.restarted().await;
        app.login(ADA, WRONG).await.expect(401, "bad-credentials");
        app.login(ADA, PASSWORD).await.expect(503, "unavailable");
        app.refresh(&refresh).await.expect(503, "unavailable");
        app.me(&access).await.expect(503, "unavailable");
        app.register(ADA).await.expect(409, "email-taken");
        app.me(&root).await.expect(200, "");
        app.login(ROOT, PASSWORD).await.expect(200, "");
        app.sign_in("new@example.com").await;

        let by_operator = async |person: &str| {
            let holder = app.operator().await.find_also_erased(person).await.unwrap();
            assert_eq!((holder.user_id, holder.email.as_deref()), (ada, None));
            let erased = app.operator().await.erase(ada, OPERATION.into()).await;
            assert!(erased.unwrap().changed);
        };
        match erased_by {
            ErasedBy::Themselves => {
                let erase = app.call(Method::DELETE, "/auth/me").token(&access);
                let erase = erase.header(REQUEST.0, REQUEST.1);
                let erased = erase.json(&json!({ "password": PASSWORD })).send().await;
                erased.expect(204, "");
            }
            ErasedBy::Address => by_operator(ADA).await,
            ErasedBy::Id => by_operator(&ada.to_string()).await,
        }
        app.me(&access).await.expect(401, "session-ended");
        app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
        app.register(ADA).await.expect(201, "");
        let root = app.operator().await.find(ROOT).await.unwrap().user_id;
        let last = app.operator().await.erase(root, OPERATION.into()).await;
        assert!(last.unwrap_err().to_string().contains("last admin"));
        // Now everything can be read, and an erased person needs no key.
        assert!(app.kinds().await.iter().any(|kind| kind == "account.erased"));
    }
}

#[tokio::test]
async fn the_last_admin_stays_and_so_does_what_is_left_of_the_key() {
    let app = App::start().await;
    let root = app.sign_in_admin(ROOT).await;
    let id = app.id_of(&root).await;
    let keys = app.keys_database().await;
    strike(&keys, DAMAGES[3], id).await;
    let app = app.restarted().await;
    let refused = app.operator().await.erase(id, OPERATION.into()).await;
    assert!(refused.unwrap_err().to_string().contains("last admin"));
    let mended = "UPDATE data_keys SET master_key = (SELECT id FROM master_keys) WHERE subject = $1";
    strike(&keys, mended, id).await;
    app.restarted().await.me(&root).await.expect(200, "");
}

#[tokio::test]
async fn programs_of_whose_key_is_damaged_or_lost_go_on() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let ada = app.id_of(&access).await;
    let (program, _) = program_tokens::token(&app, &access).await;
    let keys = app.keys_database().await;
    for damage in [DAMAGES[1], DAMAGES[0]] {
        strike(&keys, damage, ada).await;
        let app = app.restarted().await;
        // The token is good, and auth itself serves no program.
        let answer = app.get_as(&program, "/auth/me").await;
        answer.expect(403, "forbidden");
    }
}

/// An erasure destroyed a damaged key, and the process ended before the log had the erasure.
#[tokio::test]
async fn whoever_lost_their_key_for_an_erasure_is_erased() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    app.dependencies.keys.destroy(id).await.unwrap();
    let begun = "INSERT INTO pending_erasures (subject, begun_at) VALUES ($1, $2)";
    let now = app.clock.now().as_micros();
    let operations = &app.dependencies.operations;
    operations.execute(begun, &[id.0.into(), now.into()]).await.unwrap();
    let app = app.restarted().await;
    eventually("the log says so", async || app.kinds().await.iter().any(|kind| kind == "account.erased"))
        .await;
    app.me(&access).await.expect(401, "session-ended");
}

/// An operator's command destroyed a damaged key, and was killed before the log had the erasure.
#[tokio::test]
async fn the_command_that_gave_up_a_key_and_was_killed_is_concluded() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let operation = operation_begun(&app, id).await;
    strike(&app.keys_database().await, DAMAGES[1], id).await;
    let (app, faults) = app.restarted_faulty().await;
    faults.appends_left.store(0, Ordering::SeqCst);
    app.operator().await.erase(id, OPERATION.into()).await.unwrap_err();
    faults.appends_left.store(usize::MAX, Ordering::SeqCst);
    operation_is_concluded(&app, &operation, id).await;
}

/// The log is from a backup from before the erasure, and so are the pending erasures.
#[tokio::test]
async fn whose_key_is_destroyed_is_erased_before_anybody_is_answered() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    app.dependencies.keys.destroy(id).await.unwrap();
    let app = app.restarted().await;
    app.me(&access).await.expect(401, "session-ended");
    app.refresh(&refresh).await.expect(401, "session-ended");
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
    app.register(ADA).await.expect(201, "");
    assert!(app.kinds().await.iter().any(|kind| kind == "account.erased"));
}

/// The keys are from a backup from before the erasure.
#[tokio::test]
async fn whoever_was_erased_has_no_key_again_when_it_is_put_back() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let keys = app.keys_database().await;
    let row = "SELECT wrapped FROM data_keys WHERE subject = $1 AND destroyed_at IS NULL";
    let wrapped = async || keys.fetch_optional(row, &[id.0.into()]).await.unwrap();
    let backup = wrapped().await.unwrap().optional_bytes(0).unwrap().unwrap();
    app.erase_with(&access, PASSWORD).await.expect(204, "");
    assert!(wrapped().await.is_none());
    forget_pending_erasures(&app).await;
    let put_back = "UPDATE data_keys SET wrapped = $2, master_key = (SELECT id FROM master_keys), destroyed_at = NULL \
         WHERE subject = $1";
    let values: [Value; 2] = [id.0.into(), backup.into()];
    assert_eq!(keys.execute(put_back, &values).await.unwrap(), 1);
    app.restarted().await;
    assert!(wrapped().await.is_none());
}
