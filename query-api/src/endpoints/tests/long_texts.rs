//! Answers are bounded in bytes, however long the texts are that people write.

super::on_both! {
    a_page_of_long_texts_ends_earlier_and_nothing_is_left_out;
}

mod test {
    use database::Database;
    use events::UserId;
    use serde_json::Value;

    use crate::testing::{TestRole, audit, insert_at, insert_history, task, user};

    /// No answer has more: the bytes of a page, and what is around the texts.
    const MAX_BYTES: usize = (1 << 20) + (64 << 10);
    /// So many texts, of 40,000 bytes each.
    const TEXTS: usize = 40;

    fn long_text(number: usize) -> String {
        format!("{number:04}{}", "😀".repeat(9_999))
    }

    /// Reads page by page until there is no next one, whose parameter `next` tells. Returns the number of `items`.
    async fn count(
        role: &TestRole,
        me: UserId,
        (path, items): (&str, &str),
        next: impl Fn(&Value) -> Option<String>,
    ) -> usize {
        let (mut found, mut pages, mut parameter) = (0, 0, String::new());
        loop {
            let answer = role.get(me, &format!("{path}?limit=100{parameter}")).await;
            assert_eq!(answer.status, 200, "{path}");
            let bytes = answer.bytes.len();
            assert!(bytes <= MAX_BYTES, "{path}: {bytes} bytes");
            let page = answer.json();
            found += page[items].as_array().unwrap().len();
            pages += 1;
            match next(&page) {
                Some(next) => parameter = next,
                None => {
                    assert!(pages > 1, "{path}");
                    return found;
                }
            }
        }
    }

    pub(super) async fn a_page_of_long_texts_ends_earlier_and_nothing_is_left_out(database: Database) {
        let me = user();
        let mut tasks = Vec::new();
        for (number, position) in (0..TEXTS).zip(1..) {
            let mut long = task(me, &format!("Task {number}"));
            long.description = Some(long_text(number));
            audit(&database, &long, position).await;
            tasks.push((long, position));
        }
        insert_at(&database, &tasks).await;
        let versions: Vec<_> = (0..TEXTS)
            .map(|number| {
                let mut state = tasks[0].0.clone();
                state.version = number as u64 + 1;
                state.description = Some(long_text(number));
                state
            })
            .collect();
        insert_history(&database, &versions, 1).await;

        let role = TestRole::start(&database).await;
        let cursor = |page: &Value| {
            let cursor = page["next_cursor"].as_str();
            cursor.map(|cursor| format!("&cursor={cursor}"))
        };
        let history = format!("/tasks/{}/history", tasks[0].0.id);
        for path in ["/tasks", &*history] {
            assert_eq!(count(&role, me, (path, "items"), cursor).await, TEXTS, "{path}");
        }
        let since = |page: &Value| {
            let next = page["next"].as_str().unwrap_or_default();
            (page["more"] == true).then(|| format!("&since={next}"))
        };
        let changes = ("/tasks/changes", "changed");
        assert_eq!(count(&role, me, changes, since).await, TEXTS);
    }
}
