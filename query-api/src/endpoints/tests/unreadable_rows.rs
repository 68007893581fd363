//! Rows that a newer release or damage made unreadable: each list leaves them out and continues after them.

super::on_both! {
    the_audit_trail_is_told_around_entries_that_cannot_be_read;
    a_history_is_told_around_events_that_cannot_be_read;
}

mod test {
    use database::Database;
    use serde_json::Value;

    use crate::{
        audit::{AuditFilter, newest, read_on},
        testing::{TestRole, audit, insert, insert_history, task, user},
    };

    /// All values of `key` in the items of a list, page by page.
    async fn walk(role: &TestRole, caller: events::UserId, path: &str, limit: u16, key: &str) -> Vec<u64> {
        let mut found = Vec::new();
        let mut query = format!("{path}?limit={limit}");
        loop {
            let answer = role.get(caller, &query).await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.json());
            let page = answer.json();
            let items = page["items"].as_array().unwrap().iter();
            found.extend(items.map(|item| item[key].as_u64().unwrap()));
            match &page["next_cursor"] {
                Value::String(next) => query = format!("{path}?limit={limit}&cursor={next}"),
                _ => return found,
            }
        }
    }

    pub(super) async fn the_audit_trail_is_told_around_entries_that_cannot_be_read(database: Database) {
        let task = task(user(), "Task");
        for position in 1..=9 {
            audit(&database, &task, position).await;
        }
        for damage in [
            "operation = '{' WHERE position = 9",
            "operation = '{\"outcome\": \"postponed\"}' WHERE position = 6",
            "version = -1 WHERE position = 5",
            "position = -2 WHERE position = 2",
        ] {
            let sql = format!("UPDATE audit_log SET {damage}");
            assert_eq!(database.execute(&sql, &[]).await.unwrap(), 1, "{sql}");
        }
        let role = TestRole::start(&database).await;
        for limit in [1, 2, 3, 50] {
            let told = walk(&role, task.owner, "/audit/events", limit, "position").await;
            assert_eq!(told, [8, 7, 4, 3, 1], "{limit} a page");
        }
        let everything = AuditFilter::default();
        let told = newest(&database, &everything, 50).await.unwrap();
        assert_eq!(told.len(), 5);
        let (told, _) = read_on(&database, &everything, 3, 100).await.unwrap();
        let told: Vec<_> = told.iter().map(|entry| entry.position).collect();
        assert_eq!(told, [4, 7, 8]);
    }

    pub(super) async fn a_history_is_told_around_events_that_cannot_be_read(database: Database) {
        let mut states = vec![task(user(), "Version 1")];
        for version in 2..=6 {
            let mut next = states[0].clone();
            (next.version, next.title) = (version, format!("Version {version}"));
            states.push(next);
        }
        insert(&database, &states[5..]).await;
        insert_history(&database, &states, 10).await;
        for damage in [
            "changes = '[' WHERE version = 1",
            "position = -1 WHERE version = 4",
            "changes = '' WHERE version = 5",
        ] {
            let sql = format!("UPDATE task_history SET {damage}");
            assert_eq!(database.execute(&sql, &[]).await.unwrap(), 1, "{sql}");
        }
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}/history", states[0].id);
        for limit in [1, 2, 50] {
            let told = walk(&role, states[0].owner, &path, limit, "version").await;
            assert_eq!(told, [2, 3, 6], "{limit} a page");
        }
    }
}
