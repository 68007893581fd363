//! `GET /tasks/summary`.

super::on_both! {
    tasks_are_counted_by_kind;
    conditions_hold_also_where_there_is_no_entity_tag;
}

mod test {
    use database::Database;
    use events::{Due, Priority, Status, Task, Timestamp};
    use serde_json::json;

    use crate::testing::{TestRole, insert, insert_history, task, user};

    pub(super) async fn tasks_are_counted_by_kind(database: Database) {
        let (me, other) = (user(), user());
        let role = TestRole::start(&database).await;
        let none = role.get(me, "/tasks/summary").await;
        assert_eq!(none.status, 200);
        assert_eq!(none.json()["total"], 0);

        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        role.set_clock(now);
        let due = |text: &str| Some(text.parse::<Due>().unwrap());
        let done = |at: &str| Task {
            status: Status::Done,
            completed_at: Some(at.parse().unwrap()),
            due: due("2026-12-01"),
            ..task(me, "done")
        };
        let tasks = [
            task(me, "plain"),
            Task { due: due("2026-12-01"), priority: Priority::Urgent, ..task(me, "today") },
            Task { due: due("2026-12-01T12:00:00Z"), ..task(me, "overdue since now, and today") },
            Task { due: due("2026-12-01T12:00:01Z"), ..task(me, "later today") },
            Task { due: due("2026-11-30"), status: Status::InProgress, ..task(me, "yesterday") },
            Task { due: due("2026-12-02"), priority: Priority::Low, ..task(me, "tomorrow") },
            Task { due: due("2026-11-30"), status: Status::Cancelled, ..task(me, "given up") },
            done("2026-11-24T12:00:00Z"),
            done("2026-11-24T11:59:59.999999Z"),
            Task { deleted_at: Some(now), due: due("2026-11-30"), ..task(me, "in the trash") },
            task(other, "not mine"),
        ];
        insert(&database, &tasks).await;
        let answer = role.get(me, "/tasks/summary").await;
        assert_eq!(
            answer.json(),
            json!({
                "total": 9,
                "by_status": {"open": 5, "in_progress": 1, "done": 2, "cancelled": 1},
                "by_priority": {"low": 1, "normal": 7, "high": 0, "urgent": 1},
                "overdue": 2,
                "due_today": 3,
                "completed_last_7_days": 1,
            })
        );
        assert!(answer.header("consistency-token").is_some());
        role.get(me, "/tasks/summary?status=open").await.assert_problem(400, "bad-parameter");
    }

    pub(super) async fn conditions_hold_also_where_there_is_no_entity_tag(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let mine = task(me, "mine");
        insert(&database, std::slice::from_ref(&mine)).await;
        insert_history(&database, std::slice::from_ref(&mine), 1).await;
        let history = format!("/tasks/{}/history", mine.id);
        for path in ["/tasks/summary", "/tasks/changes", &history, "/tasks/events", "/audit/events"] {
            let get = async |name, value| role.get_with(me, path, &[(name, value)]).await;
            for (name, value, status) in [
                ("if-match", "*", 200),
                ("if-match", "\"x\"", 412),
                ("if-none-match", "\"x\"", 200),
                ("if-none-match", "*", 304),
                ("if-match", "x", 400),
            ] {
                // A stream does not end.
                let answer = role.open(me, path, &[(name, value)]).await;
                assert_eq!(answer.status().as_u16(), status, "{path} {name}: {value}");
            }
            get("if-match", "\"x\"").await.assert_problem(412, "version-mismatch");
            let known = get("if-none-match", "*").await;
            assert!(known.bytes.is_empty() && known.header("content-type").is_none());
            assert!(known.header("consistency-token").is_some());
        }
    }
}
