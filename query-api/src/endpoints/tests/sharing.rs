//! Callers do not disturb each other.

super::on_both! {
    whoever_asks_for_too_much_at_once_is_told_so_and_nobody_else_is;
}

mod test {
    use std::time::{Duration, Instant};

    use database::Database;
    use futures::future::join_all;
    use http::StatusCode;

    use crate::testing::{TestRole, insert, task, user};

    pub(super) async fn whoever_asks_for_too_much_at_once_is_told_so_and_nobody_else_is(database: Database) {
        let (greedy, honest) = (user(), user());
        insert(&database, &[task(greedy, "mine"), task(honest, "mine")]).await;
        let role = TestRole::start(&database).await;
        let search = async || {
            let begun = Instant::now();
            let answer = role.get(greedy, "/tasks?q=mine&count=true").await;
            (answer, begun.elapsed())
        };
        let searches = join_all((0..150).map(|_| search()));
        let honest = async {
            for _ in 0..10 {
                for path in ["/tasks", "/tasks?q=mine"] {
                    assert_eq!(role.get(honest, path).await.titles(), ["mine"]);
                }
            }
        };
        let (searches, ()) = futures::join!(searches, honest);
        let (answered, refused): (Vec<_>, Vec<_>) =
            searches.iter().partition(|(answer, _)| answer.status == StatusCode::OK);
        // Whoever has a place waits for at most five seconds.
        let had_places = refused.iter().filter(|(_, took)| *took >= Duration::from_secs(4));
        let places = answered.len() + had_places.count();
        assert!(places >= 64, "{places} had places, {} were answered", answered.len());
        assert!(!refused.is_empty());
        for (answer, _) in refused {
            answer.assert_problem(503, "overloaded");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        // Afterwards everything is as before.
        assert_eq!(role.get(greedy, "/tasks?q=mine").await.titles(), ["mine"]);
    }
}

/// The statement waits for a lock here; one that works ends in the same way.
#[tokio::test]
async fn a_query_ends_on_postgres_when_its_caller_hangs_up_or_it_takes_too_long() {
    use std::time::{Duration, Instant};

    use sqlx::{Connection as _, Executor as _, Row as _};

    use crate::testing::{TestRole, insert, on_postgres, task, user};

    on_postgres(async |database| {
        let me = user();
        insert(&database, &[task(me, "mine")]).await;
        let role = TestRole::start(&database).await;
        let server = database.postgres().unwrap();
        let mut owner = server.connect().await.unwrap();
        let mut watcher = server.connect().await.unwrap();
        let mut at_work = async || -> i64 {
            let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND state = 'active' AND query LIKE '%FROM tasks%' AND pid <> pg_backend_pid()";
            watcher.fetch_one(sql).await.unwrap().get(0)
        };
        let mut lock = owner.begin().await.unwrap();
        lock.execute("LOCK TABLE tasks").await.unwrap();

        // More of them than connections, one after another.
        for _ in 0..6 {
            for path in ["/tasks", "/tasks?q=mine"] {
                let hung_up = tokio::time::timeout(Duration::from_millis(100), role.get(me, path)).await;
                assert!(hung_up.is_err());
            }
        }
        role.get(me, "/tasks?q=mine").await.assert_problem(503, "overloaded");
        let deadline = Instant::now() + Duration::from_secs(10);
        while at_work().await > 0 {
            assert!(Instant::now() < deadline, "a query whose caller has gone is still at work");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        lock.rollback().await.unwrap();
        assert_eq!(role.get(me, "/tasks?q=mine").await.titles(), ["mine"]);
    })
    .await;
}
