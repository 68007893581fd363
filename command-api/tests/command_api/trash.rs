//! A task is purged from the trash or restored, never both.

use std::sync::Arc;

use command_api::handling::{CommandHandler, CommandMetrics};
use event_store::LogWatch;
use events::{Actor, TaskId, Timestamp, UserId};
use runtime::Metrics;

use crate::support::{App, Stage};

/// A replica beside the one of `app`.
fn replica(stage: &Stage, app: &App) -> CommandHandler {
    CommandHandler::new(
        Arc::clone(&app.store),
        Arc::new(LogWatch::new(Arc::clone(&app.store))),
        app.operations.clone(),
        Arc::clone(&stage.clock) as _,
        CommandMetrics::new(&Metrics::new("command-api")),
    )
}

fn id(path: &str) -> TaskId {
    path.strip_prefix("/tasks/").unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_was_purged_is_gone_for_everybody() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let handler = replica(&stage, &app);
    let path = app.task().await;
    let long_ago = Timestamp::from_micros(0);
    assert!(!handler.purge(id(&path), Timestamp::MAX).await.unwrap(), "not in the trash");
    assert_eq!(app.delete(&path).await.status, 204);
    assert!(!handler.purge(id(&path), long_ago).await.unwrap(), "not long enough");
    assert!(handler.purge(id(&path), Timestamp::MAX).await.unwrap());
    assert!(!replica(&stage, &app).purge(id(&path), Timestamp::MAX).await.unwrap());

    for command in ["restore", "start", "complete"] {
        let reply = app.post(&format!("{path}/{command}")).await;
        assert_eq!(reply.status, 404, "{command}: {}", reply.text);
    }
    assert_eq!(app.delete(&path).await.status, 404);
    let events = app.events(&path).await;
    let purged = events.last().unwrap();
    assert_eq!((events.len(), &*purged.kind), (3, "task.purged"));
    assert_eq!(purged.metadata.actor, Actor::System);
    assert_eq!(purged.metadata.subject, events[0].metadata.subject);
    assert_ne!(purged.metadata.subject, UserId::NOBODY);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_accepted_holds_whoever_empties_the_trash_meanwhile() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let replicas = [replica(&stage, &app), replica(&stage, &app)];
    for _ in 0..20 {
        let path = app.task().await;
        assert_eq!(app.delete(&path).await.status, 204);
        let restore = app.post(&format!("{path}/restore")).send();
        let purges = replicas.each_ref().map(|it| it.purge(id(&path), Timestamp::MAX));
        let [one, other] = purges;
        let (restored, one, other) = tokio::join!(restore, one, other);
        let purged = [one.unwrap(), other.unwrap()].into_iter().filter(|it| *it).count();
        let events = app.events(&path).await;
        let last: Vec<_> = events[2..].iter().map(|event| &*event.kind).collect();
        match restored.status.as_u16() {
            200 => assert_eq!((purged, &*last), (0, ["task.restored"].as_slice())),
            404 => assert_eq!((purged, &*last), (1, ["task.purged"].as_slice())),
            _ => panic!("{}", restored.text),
        }
    }
    app.stop().await;
}
