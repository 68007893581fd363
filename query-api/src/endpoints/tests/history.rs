//! `GET /tasks/{id}/history`, and `GET /tasks/{id}` with `version` and `as_of`.

super::on_both! {
    a_history_is_paged_from_its_beginning;
    every_state_of_the_past_is_shown_as_it_was;
    the_past_of_someone_else_is_not_there;
    a_task_in_the_trash_has_a_past;
    a_version_that_was_passed_over_is_the_state_before;
    a_history_without_its_beginning_is_not_told;
    what_makes_no_sense_is_refused;
}

mod test {
    use database::Database;
    use events::{Status, Task, Timestamp, UserId};
    use serde_json::json;

    use crate::testing::{TestRole, insert, insert_history, task, user};

    const START: i64 = 1_700_000_000_000_000;

    /// A task of `owner` with this many versions, one a second; every other change is one of its status.
    fn states(owner: UserId, versions: u32) -> Vec<Task> {
        let mut state = task(owner, "Task 1");
        state.created_at = Timestamp::from_micros(START);
        state.updated_at = state.created_at;
        let mut states = vec![state.clone()];
        for version in 2..=versions {
            state.updated_at = Timestamp::from_micros(START + i64::from(version - 1) * 1_000_000);
            state.version = version.into();
            match version % 3 {
                0 => state.title = format!("Task {version}"),
                1 => state.tags.push(format!("tag {version}")),
                _ => {
                    state.status = if state.status == Status::Open { Status::Done } else { Status::Open };
                    state.completed_at = (state.status == Status::Done).then_some(state.updated_at);
                }
            }
            state.tags.truncate(20);
            states.push(state.clone());
        }
        states
    }

    async fn given(database: &Database, states: &[Task]) {
        insert(database, &states[states.len() - 1..]).await;
        insert_history(database, states, 10).await;
    }

    pub(super) async fn a_history_is_paged_from_its_beginning(database: Database) {
        let me = user();
        let states = states(me, 7);
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}/history", states[0].id);

        let answer = role.get(me, &path).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("consistency-token").is_some());
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        let whole = answer.json();
        assert_eq!(whole["next_cursor"], json!(null));
        assert_eq!(whole["items"].as_array().unwrap().len(), 7);
        assert_eq!(
            whole["items"][0],
            json!({
                "version": 1, "position": 10, "type": "task.renamed", "actor": me.to_string(),
                "recorded_at": "2023-11-14T22:13:20Z", "correlation_id": "request",
                "changes": [
                    {"field": "title", "from": null, "to": "Task 1"},
                    {"field": "status", "from": null, "to": "open"},
                    {"field": "priority", "from": null, "to": "normal"},
                ],
            })
        );
        assert_eq!(
            whole["items"][1]["changes"],
            json!([
                {"field": "status", "from": "open", "to": "done"},
                {"field": "completed_at", "from": null, "to": "2023-11-14T22:13:21Z"},
            ])
        );

        let (mut items, mut query) = (Vec::new(), "?limit=3".to_owned());
        for _ in 0..3 {
            let page = role.get(me, &format!("{path}{query}")).await.json();
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            query = format!("?limit=3&cursor={cursor}");
        }
        assert_eq!(json!(items), whole["items"]);

        // A cursor belongs to its task and to its person.
        let other = self::states(me, 2);
        given_at(&database, &other, 100).await;
        let cursor = query.split("cursor=").nth(1).unwrap();
        role.get(me, &format!("/tasks/{}/history?cursor={cursor}", other[0].id))
            .await
            .assert_problem(400, "bad-cursor");
    }

    async fn given_at(database: &Database, states: &[Task], position: u64) {
        insert(database, &states[states.len() - 1..]).await;
        insert_history(database, states, position).await;
    }

    pub(super) async fn every_state_of_the_past_is_shown_as_it_was(database: Database) {
        let me = user();
        let states = states(me, 200);
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}", states[0].id);
        for state in states.iter().filter(|state| {
            state.version < 4 || state.version > 196 || state.version % 64 < 2 || state.version % 64 == 63
        }) {
            let shown = serde_json::to_string(&api_types::Task::from(state)).unwrap();
            let etag = format!("\"{}\"", state.version);
            let moments = [
                format!("version={}", state.version),
                format!("as_of={}", state.updated_at),
                // Until just before the next one.
                format!("as_of={}", Timestamp::from_micros(state.updated_at.as_micros() + 999_999)),
            ];
            for moment in moments {
                let answer = role.get(me, &format!("{path}?{moment}")).await;
                assert_eq!(String::from_utf8_lossy(&answer.bytes), shown, "{moment}");
                assert_eq!(answer.header("etag"), Some(etag.as_str()));
            }
            let answer = role
                .get_with(me, &format!("{path}?version={}", state.version), &[("if-none-match", &etag)])
                .await;
            assert_eq!(answer.status, 304);
        }
        for moment in ["version=201", "version=18446744073709551615", "as_of=2023-11-14T22:13:19.999999Z"] {
            role.get(me, &format!("{path}?{moment}")).await.assert_problem(404, "not-found");
        }
        // The future is like the present.
        let answer = role.get(me, &format!("{path}?as_of=9999-12-31T00:00:00Z")).await;
        assert_eq!(answer.json()["version"], 200);
    }

    pub(super) async fn the_past_of_someone_else_is_not_there(database: Database) {
        let (me, other) = (user(), user());
        let states = states(me, 3);
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        for rest in ["/history", "?version=1", "?as_of=2026-01-01T00:00:00Z"] {
            role.get(other, &format!("/tasks/{}{rest}", states[0].id)).await.assert_problem(404, "not-found");
            role.get(me, &format!("/tasks/{}{rest}", user())).await.assert_problem(404, "not-found");
            role.get(me, &format!("/tasks/none{rest}")).await.assert_problem(404, "not-found");
        }
    }

    pub(super) async fn a_task_in_the_trash_has_a_past(database: Database) {
        let me = user();
        let mut states = states(me, 2);
        let deleted_at = Timestamp::from_micros(START + 5_000_000);
        states.push(Task {
            deleted_at: Some(deleted_at),
            updated_at: deleted_at,
            version: 3,
            ..states[1].clone()
        });
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}", states[0].id);
        role.get(me, &path).await.assert_problem(404, "not-found");
        let history = role.get(me, &format!("{path}/history")).await.json();
        assert_eq!(
            history["items"][2]["changes"],
            json!([{"field": "deleted_at", "from": null, "to": "2023-11-14T22:13:25Z"}])
        );
        let before = role.get(me, &format!("{path}?version=2")).await.json();
        assert_eq!(before["deleted_at"], json!(null));
        let now = role.get(me, &format!("{path}?version=3")).await.json();
        assert_eq!(now["deleted_at"], "2023-11-14T22:13:25Z");
    }

    pub(super) async fn a_version_that_was_passed_over_is_the_state_before(database: Database) {
        let me = user();
        // Also at a version whose row holds the whole state.
        let mut states = states(me, 70);
        states.remove(63);
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}", states[0].id);
        let passed = role.get(me, &format!("{path}?version=64")).await.json();
        let before = role.get(me, &format!("{path}?version=63")).await.json();
        assert_eq!((&passed["version"], &passed["title"]), (&json!(64), &before["title"]));
        let last = role.get(me, &format!("{path}?version=70")).await.json();
        assert_eq!(last, serde_json::to_value(api_types::Task::from(&states[68])).unwrap());
    }

    pub(super) async fn a_history_without_its_beginning_is_not_told(database: Database) {
        let me = user();
        let states = states(me, 3);
        given(&database, &states).await;
        database.execute("DELETE FROM task_history WHERE version = 1", &[]).await.unwrap();
        let role = TestRole::start(&database).await;
        for rest in ["/history", "?version=2"] {
            role.get(me, &format!("/tasks/{}{rest}", states[0].id)).await.assert_problem(503, "unavailable");
        }
    }

    pub(super) async fn what_makes_no_sense_is_refused(database: Database) {
        let me = user();
        let states = states(me, 1);
        given(&database, &states).await;
        let role = TestRole::start(&database).await;
        for (rest, code) in [
            ("?version=0", "bad-parameter"),
            ("?version=-1", "bad-parameter"),
            ("?version=%2B1", "bad-parameter"),
            ("?version=", "bad-parameter"),
            ("?version=1&version=1", "bad-parameter"),
            ("?version=1&as_of=2026-01-01T00:00:00Z", "bad-parameter"),
            ("?as_of=yesterday", "bad-parameter"),
            ("?as_of=2026-01-01", "bad-parameter"),
            ("/history?limit=0", "bad-parameter"),
            ("/history?limit=101", "bad-parameter"),
            ("/history?version=1", "bad-parameter"),
            ("/history?cursor=AAAA", "bad-cursor"),
        ] {
            role.get(me, &format!("/tasks/{}{rest}", states[0].id)).await.assert_problem(400, code);
        }
    }
}
