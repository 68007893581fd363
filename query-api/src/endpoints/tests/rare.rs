//! Filters without an index that hardly any task passes: a page examines a bounded number of tasks, and says where to
//! continue.

super::on_both! {
    a_filter_that_hardly_any_task_passes_is_answered_piece_by_piece;
}

mod test {
    use database::Database;
    use events::{Due, Status, Timestamp};
    use serde_json::Value;

    use crate::{
        tasks::MAX_LOOKED_AT,
        testing::{TestRole, insert, task, user},
    };

    pub(super) async fn a_filter_that_hardly_any_task_passes_is_answered_piece_by_piece(database: Database) {
        let me = user();
        let count = i64::try_from(MAX_LOOKED_AT).unwrap() + 200;
        let mut tasks: Vec<_> = (0..count).map(|n| task(me, &format!("Task {n}"))).collect();
        for (task, n) in tasks.iter_mut().zip(0..) {
            task.created_at = Timestamp::from_micros(n);
        }
        let last = tasks.len() - 1;
        for place in [100, last] {
            tasks[place].status = Status::Cancelled;
            tasks[place].tags = vec!["rare".to_owned()];
        }
        for place in [99, last - 1] {
            tasks[place].due = Some("2001-01-01".parse::<Due>().unwrap());
        }
        insert(&database, &tasks).await;
        let role = TestRole::start(&database).await;
        for (query, expected) in [
            ("tag=nowhere", [0, 0]),
            ("status=cancelled", [1, 1]),
            ("tag=rare&status=cancelled", [1, 1]),
            ("overdue=true", [1, 1]),
            ("due_before=2002-01-01", [1, 1]),
            ("completed_after=2001-01-01", [0, 0]),
            ("updated_before=2001-01-01", [0, 0]),
        ] {
            let mut found = Vec::new();
            let mut path = format!("/tasks?{query}&limit=10");
            loop {
                let page = role.get(me, &path).await.json();
                found.push(page["items"].as_array().unwrap().len());
                match &page["next_cursor"] {
                    Value::String(next) => path = format!("/tasks?{query}&limit=10&cursor={next}"),
                    _ => break,
                }
            }
            assert_eq!(found, expected, "{query}");
        }
    }
}
