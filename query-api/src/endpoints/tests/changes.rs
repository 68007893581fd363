//! `GET /tasks/changes`.

super::on_both! {
    what_has_changed_is_told_once_page_by_page;
    what_goes_into_the_trash_is_told_as_deleted;
    a_token_is_good_for_its_person_only;
    what_is_parked_is_told_when_it_is_projected;
    a_token_of_another_log_is_refused;
}

mod test {
    use database::Database;
    use events::{Task, Timestamp, UserId};
    use serde_json::{Value, json};

    use crate::testing::{TestRole, audit, insert_at, task, user};

    async fn given(database: &Database, task: &Task, position: u64) {
        insert_at(database, &[(task.clone(), position)]).await;
        audit(database, task, position).await;
    }

    /// All pages from the token on: the changed titles, and the token for the next request.
    async fn titles(role: &TestRole, me: UserId, since: Option<&str>) -> (Vec<String>, String) {
        let (mut titles, mut since) = (Vec::new(), since.map(str::to_owned));
        loop {
            let query = since.map_or(String::new(), |since| format!("&since={since}"));
            let answer = role.get(me, &format!("/tasks/changes?limit=2{query}")).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
            let page = answer.json();
            let changed = page["changed"].as_array().unwrap();
            titles.extend(changed.iter().map(|task| task["title"].as_str().unwrap().to_owned()));
            let next = page["next"].as_str().unwrap().to_owned();
            if page["more"] == Value::Bool(false) {
                return (titles, next);
            }
            since = Some(next);
        }
    }

    pub(super) async fn what_has_changed_is_told_once_page_by_page(database: Database) {
        let (me, other) = (user(), user());
        let role = TestRole::start(&database).await;
        let (nothing, start) = titles(&role, me, None).await;
        assert_eq!(nothing, Vec::<String>::new());

        let tasks: Vec<_> = (0..5).map(|n| task(me, &format!("Task {n}"))).collect();
        for (task, position) in tasks.iter().zip([10, 30, 20, 50, 40]) {
            given(&database, task, position).await;
        }
        given(&database, &task(other, "Not mine"), 60).await;
        let in_order = ["Task 0", "Task 2", "Task 1", "Task 4", "Task 3"];
        let (all, next) = titles(&role, me, None).await;
        assert_eq!(all, in_order);
        assert_eq!(titles(&role, me, Some(&start)).await.0, in_order);
        let (nothing, same) = titles(&role, me, Some(&next)).await;
        assert_eq!((nothing.len(), &same), (0, &next));

        given(&database, &tasks[1], 70).await;
        let (changed, later) = titles(&role, me, Some(&next)).await;
        assert_eq!(changed, ["Task 1"]);
        assert_eq!(titles(&role, me, Some(&later)).await.0.len(), 0);
    }

    pub(super) async fn what_goes_into_the_trash_is_told_as_deleted(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let (kept, gone) = (task(me, "Kept"), task(me, "Gone"));
        given(&database, &kept, 1).await;
        given(&database, &gone, 2).await;
        let (all, next) = titles(&role, me, None).await;
        assert_eq!(all.len(), 2);
        let deleted = Task { deleted_at: Some(Timestamp::from_micros(1)), version: 2, ..gone.clone() };
        given(&database, &deleted, 3).await;
        let page = role.get(me, &format!("/tasks/changes?since={next}")).await.json();
        assert_eq!(page["changed"], json!([]));
        assert_eq!(page["deleted"], json!([gone.id]));
        assert_eq!(page["more"], json!(false));
    }

    pub(super) async fn a_token_is_good_for_its_person_only(database: Database) {
        let (me, other) = (user(), user());
        let role = TestRole::start(&database).await;
        let (_, next) = titles(&role, me, None).await;
        role.get(other, &format!("/tasks/changes?since={next}")).await.assert_problem(400, "bad-cursor");
        for (query, code) in [
            ("since=AAAA", "bad-cursor"),
            ("since=", "bad-parameter"),
            ("limit=0", "bad-parameter"),
            ("limit=101", "bad-parameter"),
            ("until=x", "bad-parameter"),
        ] {
            role.get(me, &format!("/tasks/changes?{query}")).await.assert_problem(400, code);
        }
    }

    pub(super) async fn what_is_parked_is_told_when_it_is_projected(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let tasks: Vec<_> = (0..4).map(|n| task(me, &format!("Task {n}"))).collect();
        for (task, position) in tasks.iter().zip([10, 20, 40, 50]) {
            given(&database, task, position).await;
        }
        let park = format!(
            "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
             VALUES (30, 'task-late', 1, 'task.created', '{me}', 'test', 1)"
        );
        database.execute(&park, &[]).await.unwrap();
        // It is projected between two pages of the same series, and after one.
        let first = role.get(me, "/tasks/changes?limit=3").await.json();
        assert_eq!(first["more"], json!(true));
        let (_, whole) = titles(&role, me, None).await;
        database.execute("DELETE FROM parked_events", &[]).await.unwrap();
        given(&database, &task(me, "Late"), 30).await;

        let (rest, next) = titles(&role, me, first["next"].as_str()).await;
        assert_eq!(rest, ["Task 3"]);
        assert_eq!(titles(&role, me, Some(&next)).await.0, ["Late", "Task 2", "Task 3"]);
        assert_eq!(titles(&role, me, Some(&whole)).await.0, ["Late", "Task 2", "Task 3"]);
        // When nothing is parked, nothing is returned twice.
        let (_, next) = titles(&role, me, Some(&next)).await;
        assert_eq!(titles(&role, me, Some(&next)).await.0.len(), 0);
    }

    pub(super) async fn a_token_of_another_log_is_refused(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        given(&database, &task(me, "Task"), 10).await;
        let (_, next) = titles(&role, me, None).await;
        role.log().ends_at(9);
        role.get(me, &format!("/tasks/changes?since={next}")).await.assert_problem(400, "bad-cursor");
        assert_eq!(titles(&role, me, None).await.0, ["Task"]);
    }
}
