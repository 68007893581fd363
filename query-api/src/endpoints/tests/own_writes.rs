//! Reading one's own writes.

use std::time::{Duration, Instant};

use database::Database;
use events::{ConsistencyToken, EventId, LogPoint, UserId};
use futures::future::join_all;
use test_support::eventually;
use uuid::Uuid;

use crate::testing::{Answer, PARTITIONS, TestLog, TestRole, insert, project, task, user};

super::on_both! {
    a_state_that_is_there_is_shown_at_once;
    a_query_waits_until_the_projection_has_come_far_enough;
    a_state_that_does_not_come_in_time_is_behind;
    a_state_in_whose_place_the_log_has_another_is_not_waited_for;
    a_state_beyond_the_end_of_the_log_is_waited_for;
    many_who_wait_for_what_is_beyond_the_end_leave_room_for_the_others;
    what_is_projected_is_not_compared_with_the_event_that_a_token_names;
    whoever_waits_for_too_much_at_once_is_told_so_and_nobody_else_is;
    a_lost_signal_costs_a_moment_and_nothing_else;
    malformed_tokens_are_refused_and_malformed_preferences_ignored;
    checkpoints_may_begin_anew;
    read_models_that_are_filled_for_the_first_time_are_not_shown;
    a_state_that_the_log_has_lost_is_passed_over_for_whoever_does_not_insist;
    checkpoints_of_another_log_are_no_measure;
}

fn token(subject: UserId, position: u64) -> String {
    ConsistencyToken::new(subject, position).to_string()
}

async fn list(role: &TestRole, me: UserId, position: u64, prefer: &str) -> Answer {
    role.get_with(me, "/tasks", &[("consistency-token", &token(me, position)), ("prefer", prefer)]).await
}

mod test {
    use super::*;

    pub(super) async fn a_state_that_is_there_is_shown_at_once(database: Database) {
        let me = user();
        project(&database, me, 7, false).await;
        let role = TestRole::start(&database).await;
        let answer = role.get(me, "/tasks").await;
        assert_eq!(answer.header("consistency-token"), Some(token(me, 7).as_str()));
        assert_eq!(answer.header("preference-applied"), None);

        let answer = list(&role, me, 7, "wait=0").await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("preference-applied"), Some("wait=0"));
        assert_eq!(list(&role, me, 0, "wait=0").await.status.as_u16(), 200);

        // A partition without a row is at the beginning.
        let other =
            std::iter::repeat_with(user).find(|user| PARTITIONS.of(*user) != PARTITIONS.of(me)).unwrap();
        let answer = role.get_with(other, "/tasks", &[("consistency-token", &token(other, 0))]).await;
        assert_eq!(answer.header("consistency-token"), Some(token(other, 0).as_str()));
    }

    pub(super) async fn a_query_waits_until_the_projection_has_come_far_enough(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let mine = task(me, "mine");
        let path = format!("/tasks/{}", mine.id);
        let (wanted, headers) = (token(me, 5), [("prefer", "wait=10")]);
        let headers = [headers[0], ("consistency-token", wanted.as_str())];
        let asked = Instant::now();
        let (listed, one, ()) =
            tokio::join!(role.get_with(me, "/tasks", &headers), role.get_with(me, &path, &headers), async {
                project(&database, me, 4, true).await;
                insert(&database, std::slice::from_ref(&mine)).await;
                project(&database, me, 6, true).await;
            });
        assert_eq!(listed.titles(), ["mine"]);
        assert_eq!(one.status.as_u16(), 200);
        for answer in [listed, one] {
            assert_eq!(answer.header("preference-applied"), Some("wait=10"));
            assert_eq!(answer.header("consistency-token"), Some(token(me, 6).as_str()));
        }
        assert!(asked.elapsed() < Duration::from_secs(9), "it did not wait longer than it had to");
    }

    pub(super) async fn a_state_that_does_not_come_in_time_is_behind(database: Database) {
        let me = user();
        project(&database, me, 4, true).await;
        let role = TestRole::start(&database).await;
        for (prefer, position, seconds) in
            [("wait=0", 5, 0), ("wait=1", u64::MAX, 1), ("return=minimal", 5, 2), ("wait=-1", 5, 2)]
        {
            let asked = Instant::now();
            let answer = list(&role, me, position, prefer).await;
            answer.assert_problem(503, "projection-behind");
            assert_eq!(answer.header("retry-after"), Some("1"));
            let applied = prefer.starts_with("wait=") && prefer != "wait=-1";
            assert_eq!(answer.header("preference-applied"), applied.then_some(prefer));
            let waited = asked.elapsed();
            assert!(
                waited >= Duration::from_secs(seconds) && waited < Duration::from_secs(seconds + 5),
                "{prefer}"
            );
        }
    }

    #[track_caller]
    fn is_not_in_the_log(answer: &Answer) {
        answer.assert_problem(503, "projection-behind");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("The log does not have it"), "{detail}");
    }

    pub(super) async fn a_state_in_whose_place_the_log_has_another_is_not_waited_for(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        role.log().ends_at(10);
        for position in [1, 10] {
            let elsewhere = LogPoint { position, id: Some(EventId(Uuid::from_u128(77))) };
            let wanted = ConsistencyToken::at(me, elsewhere).to_string();
            let headers = [("consistency-token", wanted.as_str()), ("prefer", "wait=10")];
            let asked = Instant::now();
            is_not_in_the_log(&role.get_with(me, "/tasks", &headers).await);
            assert!(asked.elapsed() < Duration::from_secs(9), "it did not wait");
        }
    }

    pub(super) async fn a_state_beyond_the_end_of_the_log_is_waited_for(database: Database) {
        let me = user();
        project(&database, me, 8, true).await;
        let role = TestRole::start(&database).await;
        role.log().ends_at(10);
        for position in [11, u64::MAX] {
            let asked = Instant::now();
            is_not_in_the_log(&list(&role, me, position, "wait=1").await);
            assert!(asked.elapsed() >= Duration::from_secs(1), "it waited");
        }
        // The log grows up to it.
        let asked = Instant::now();
        let (answer, ()) = tokio::join!(list(&role, me, 11, "wait=10"), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            role.log().ends_at(11);
            project(&database, me, 11, true).await;
        });
        assert_eq!(answer.status.as_u16(), 200);
        assert!(asked.elapsed() < Duration::from_secs(9));
        // The log grows up to it, and the projection does not.
        let (answer, ()) = tokio::join!(list(&role, me, 12, "wait=1"), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            role.log().ends_at(12);
        });
        answer.assert_problem(503, "projection-behind");
        assert!(!answer.json().to_string().contains("The log does not have it"));
        // Whoever does not insist on it does not wait.
        let asked = Instant::now();
        let answer = list(&role, me, 20, "wait=10, handling=lenient").await;
        assert_eq!(answer.status.as_u16(), 200);
        assert!(asked.elapsed() < Duration::from_secs(9));
    }

    pub(super) async fn many_who_wait_for_what_is_beyond_the_end_leave_room_for_the_others(
        database: Database,
    ) {
        let role = TestRole::start(&database).await;
        role.log().ends_at(10);
        let (asked, greedy) = (Instant::now(), [user(), user(), user(), user()]);
        let waiting = join_all((0..240).map(|n| {
            let (role, me) = (&role, greedy[n % greedy.len()]);
            async move {
                is_not_in_the_log(&list(role, me, 11, "wait=10").await);
                asked.elapsed() >= Duration::from_secs(10)
            }
        }));
        let waited = waiting.await.into_iter().filter(|waited| *waited).count();
        assert_eq!(waited, 128, "the others were refused at once");
    }

    /// Whether the log was restored since is asked only for what is not projected: otherwise each read after a write
    /// would ask the log.
    pub(super) async fn what_is_projected_is_not_compared_with_the_event_that_a_token_names(
        database: Database,
    ) {
        let me = user();
        project(&database, me, 7, false).await;
        let role = TestRole::start(&database).await;
        for (position, status) in [(7, 200), (8, 503)] {
            let elsewhere = LogPoint { position, id: Some(EventId(Uuid::from_u128(1))) };
            let token = ConsistencyToken::at(me, elsewhere).to_string();
            let answer = role.get_with(me, "/tasks", &[("consistency-token", &token)]).await;
            assert_eq!(answer.status.as_u16(), status, "{position}");
        }
    }

    pub(super) async fn whoever_waits_for_too_much_at_once_is_told_so_and_nobody_else_is(database: Database) {
        let (greedy, honest) = (user(), user());
        let role = TestRole::start(&database).await;
        let (asked, others) = (Instant::now(), async {
            let answer = list(&role, honest, 5, "wait=1").await;
            answer.assert_problem(503, "projection-behind");
        });
        let waiting = join_all((0..150).map(|_| list(&role, greedy, 5, "wait=2")));
        let (answers, ()) = tokio::join!(waiting, others);
        let is = |answer: &&Answer, code: &str| answer.json()["code"] == code;
        let waited = answers.iter().filter(|answer| is(answer, "projection-behind"));
        assert_eq!(waited.count(), 64);
        for refused in answers.iter().filter(|answer| !is(answer, "projection-behind")) {
            refused.assert_problem(503, "overloaded");
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "nobody waited in a queue");
        // States that are there are still shown to them.
        let there = join_all((0..150).map(|_| list(&role, greedy, 0, "wait=2"))).await;
        assert!(!there.iter().any(|answer| answer.json()["code"] == "projection-behind"));
    }

    pub(super) async fn a_lost_signal_costs_a_moment_and_nothing_else(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let asked = Instant::now();
        let (answer, ()) = tokio::join!(list(&role, me, 5, "wait=10"), project(&database, me, 5, false));
        assert_eq!(answer.status.as_u16(), 200);
        assert!(asked.elapsed() < Duration::from_secs(9));
        // A caller that does not wait also causes a read of the table.
        project(&database, me, 6, false).await;
        assert_eq!(list(&role, me, 6, "wait=0").await.status.as_u16(), 200);
    }

    pub(super) async fn malformed_tokens_are_refused_and_malformed_preferences_ignored(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        for path in ["/tasks".to_owned(), format!("/tasks/{}", task(me, "").id)] {
            for token in ["nonsense", "", "00000000-", "00000000-x", "0000-1"] {
                let answer = role.get_with(me, &path, &[("consistency-token", token)]).await;
                answer.assert_problem(400, "bad-parameter");
                assert!(answer.json()["detail"].as_str().unwrap().contains("Consistency-Token"));
            }
        }
        for prefer in ["wait=soon", "wait", "wait=-5", ";;;"] {
            let answer = list(&role, me, 0, prefer).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("preference-applied")),
                (200, None),
                "{prefer}"
            );
        }
        assert_eq!(list(&role, me, 0, "wait=600").await.header("preference-applied"), Some("wait=10"));
    }

    pub(super) async fn checkpoints_may_begin_anew(database: Database) {
        let me = user();
        project(&database, me, 100, true).await;
        let role = TestRole::start(&database).await;
        assert_eq!(list(&role, me, 100, "wait=0").await.status.as_u16(), 200);
        // The read models are rebuilt; a waiting caller makes the role read the table, and it uses the result.
        database.execute("DELETE FROM checkpoints", &[]).await.unwrap();
        list(&role, me, 101, "wait=0").await.assert_problem(503, "projection-behind");
        list(&role, me, 100, "wait=0").await.assert_problem(503, "projection-behind");
        eventually("the empty read models are compared with the empty log", async || {
            role.get(me, "/tasks").await.header("consistency-token") == Some(token(me, 0).as_str())
        })
        .await;
    }

    pub(super) async fn read_models_that_are_filled_for_the_first_time_are_not_shown(database: Database) {
        let me = user();
        project(&database, me, 7, true).await;
        let role = TestRole::start(&database).await;
        role.log().ends_at(10);
        assert_eq!(role.get(me, "/tasks").await.status.as_u16(), 200, "it is only late");
        database.execute("DELETE FROM checkpoints", &[]).await.unwrap();
        project(&database, me, 0, true).await;
        let paths = ["/tasks", "/tasks/summary", "/tasks/changes"];
        let refused = async |path| role.get(me, path).await.status.as_u16() == 503;
        eventually("the role sees it", async || refused(paths[0]).await).await;
        project(&database, me, 5, true).await;
        for path in paths {
            let answer = role.get(me, path).await;
            answer.assert_problem(503, "projection-behind");
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        project(&database, me, 10, true).await;
        eventually("all is projected", async || !refused(paths[0]).await).await;
    }

    pub(super) async fn a_state_that_the_log_has_lost_is_passed_over_for_whoever_does_not_insist(
        database: Database,
    ) {
        let me = user();
        project(&database, me, 8, true).await;
        let role = TestRole::start(&database).await;
        role.log().ends_at(10);
        // The log ends before it, and the answer says so.
        let answer = list(&role, me, 11, "wait=0").await;
        answer.assert_problem(503, "projection-behind");
        assert!(answer.header("retry-after").is_some());
        // The gateway, which asks for callers without a token, gets the present state and its token.
        let answer = list(&role, me, 11, "wait=0, handling=lenient").await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.header("consistency-token"), Some(token(me, 8).as_str()));
        // The log has the event, or another one at its position.
        for (event, lenient) in [(TestLog::id(9), 503), (EventId(Uuid::from_u128(7)), 200)] {
            let point = LogPoint { position: 9, id: Some(event) };
            let wanted = ConsistencyToken::at(me, point).to_string();
            for (preference, status) in [("wait=0", 503), ("wait=0, handling=lenient", lenient)] {
                let headers = [("consistency-token", wanted.as_str()), ("prefer", preference)];
                let answer = role.get_with(me, "/tasks", &headers).await;
                assert_eq!(answer.status.as_u16(), status, "{wanted} {preference}");
            }
        }
        list(&role, me, 9, "wait=0, handling=lenient").await.assert_problem(503, "projection-behind");
    }

    pub(super) async fn checkpoints_of_another_log_are_no_measure(database: Database) {
        let me = user();
        project(&database, me, 11, true).await;
        let role = TestRole::start(&database).await;
        assert_eq!(list(&role, me, 9, "wait=0").await.status.as_u16(), 200);
        role.log().ends_at(10);
        eventually("it is noticed", async || list(&role, me, 9, "wait=0").await.status.as_u16() == 503).await;
        assert_eq!(role.get(me, "/health/ready").await.status.as_u16(), 503);
        project(&database, me, 10, true).await;
        eventually("it heals", async || list(&role, me, 9, "wait=0").await.status.as_u16() == 200).await;
    }
}
