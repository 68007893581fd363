//! The results of each filter and order.

super::on_both! {
    states_and_priorities_are_any_of_and_tags_all_of;
    words_are_found_in_any_script_and_case;
    what_like_takes_for_a_wildcard_means_itself;
    bounds_include_their_beginning_and_exclude_their_end;
    overdue_means_past_due_and_still_to_be_done;
    the_trash_is_apart;
    orders_put_empty_values_last_both_ways;
    nobody_sees_the_tasks_of_another;
    an_item_is_the_task_and_nothing_else;
}

mod test {
    use database::Database;
    use events::{Priority, Status, Task, Timestamp, UserId};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use serde_json::json;

    use crate::testing::{TestRole, insert, task, user};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The titles for `query`, in the order of the titles.
    async fn titles(role: &TestRole, caller: UserId, query: &str) -> Vec<String> {
        role.get(caller, &format!("/tasks?sort=title&{query}")).await.titles()
    }

    pub(super) async fn states_and_priorities_are_any_of_and_tags_all_of(database: Database) {
        let me = user();
        let with = |title: &str, status, priority, tags: &[&str]| Task {
            status,
            priority,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..task(me, title)
        };
        insert(
            &database,
            &[
                with("a", Status::Open, Priority::Low, &["home", "garden"]),
                with("b", Status::InProgress, Priority::Normal, &["home"]),
                with("c", Status::Done, Priority::High, &["homework", "Home", "home,garden"]),
                with("d", Status::Cancelled, Priority::Urgent, &[]),
            ],
        )
        .await;
        let role = TestRole::start(&database).await;
        for (query, expected) in [
            ("status=open", "a"),
            ("status=in_progress,cancelled", "bd"),
            ("status=in_progress%2Ccancelled", "bd"),
            ("status=done&status=open&status=done", "ac"),
            ("priority=urgent,low", "ad"),
            ("priority=urgent%2Clow&priority=high", "acd"),
            ("priority=normal&priority=high", "bc"),
            ("tag=home", "ab"),
            ("tag=Home", "c"),
            ("tag=home,garden", "a"),
            ("tag=home%2Cgarden", "c"),
            ("tag=home%2cgarden,Home", "c"),
            ("tag=garden&tag=home", "a"),
            ("tag=home&status=in_progress", "b"),
            ("tag=hom", ""),
            ("tag=%25", ""),
            ("tag=h_me", ""),
        ] {
            assert_eq!(titles(&role, me, query).await.concat(), expected, "{query}");
        }
    }

    pub(super) async fn words_are_found_in_any_script_and_case(database: Database) {
        let me = user();
        let mut tagged = task(me, "6 tagged");
        tagged.tags = vec!["Größe".to_owned(), "ЁЛКА".to_owned()];
        let mut described = task(me, "7 described");
        described.description = Some("Line one\nCAFE\u{301} au lait".to_owned());
        insert(
            &database,
            &[
                task(me, "1 Straße"),
                task(me, "2 ΟΔΟΣ"),
                task(me, "3 日本語の本を読む"),
                task(me, "4 ＦＵＬＬＷＩＤＴＨ ﬁle"),
                task(me, "5 buy MILK and honey"),
                tagged,
                described,
            ],
        )
        .await;
        let role = TestRole::start(&database).await;
        for (words, expected) in [
            ("strasse", "1"),
            ("STRAẞE", "1"),
            ("οδος", "2"),
            ("οδοσ", "2"),
            ("本語", "3"),
            ("日本語 読む", "3"),
            ("fullwidth FILE", "4"),
            ("honey milk", "5"),
            ("milk\u{a0}\u{3000}and", "5"),
            ("mil hone", "5"),
            ("milk bread", ""),
            ("GRÖSSE ёлка", "6"),
            ("tagged größe", "6"),
            ("café", "7"),
            ("cafe\u{301} ONE described", "7"),
            ("milkand", ""),
        ] {
            let query = format!("q={}", utf8_percent_encode(words, NON_ALPHANUMERIC));
            let found: Vec<_> =
                titles(&role, me, &query).await.iter().map(|title| title[..1].to_owned()).collect();
            assert_eq!(found.concat(), expected, "{words}");
        }
    }

    pub(super) async fn what_like_takes_for_a_wildcard_means_itself(database: Database) {
        let me = user();
        let all = ["100% sure", "100 sure", r"a\b", "a_b", "axb", "it's \"quoted\""];
        insert(&database, &all.map(|title| task(me, title))).await;
        let role = TestRole::start(&database).await;
        for (words, expected) in [
            ("100%", vec!["100% sure"]),
            ("%", vec!["100% sure"]),
            ("a_b", vec!["a_b"]),
            (r"a\b", vec![r"a\b"]),
            (r"\", vec![r"a\b"]),
            (r"\%", vec![]),
            ("it's", vec!["it's \"quoted\""]),
            ("\"quoted\"", vec!["it's \"quoted\""]),
            ("' OR 1=1 --", vec![]),
        ] {
            let query = format!("q={}", utf8_percent_encode(words, NON_ALPHANUMERIC));
            assert_eq!(titles(&role, me, &query).await, expected, "{words}");
        }
    }

    pub(super) async fn bounds_include_their_beginning_and_exclude_their_end(database: Database) {
        let me = user();
        let mut day = task(me, "day");
        day.due = "2026-12-01".parse().ok();
        day.created_at = at("2026-12-01T00:00:00Z");
        let mut instant = task(me, "instant");
        instant.due = "2026-12-01T09:00:00Z".parse().ok();
        instant.updated_at = at("2026-12-01T09:00:00.000001Z");
        let mut never = task(me, "never");
        never.status = Status::Done;
        never.completed_at = Some(at("2026-12-01T23:59:59.999999Z"));
        insert(&database, &[day, instant, never]).await;
        let role = TestRole::start(&database).await;
        for (query, expected) in [
            ("due_after=2026-12-01", vec!["day", "instant"]),
            ("due_after=2026-12-01T00:00:00.000001Z", vec!["instant"]),
            ("due_before=2026-12-01", vec![]),
            ("due_before=2026-12-01T09:00:00Z", vec!["day"]),
            ("due_before=2026-12-01T10:00:00.000001%2B01:00", vec!["day", "instant"]),
            ("due_before=9999-12-31", vec!["day", "instant"]),
            ("due_after=1970-01-01", vec!["day", "instant"]),
            ("due_after=2026-12-01&due_before=2026-12-02", vec!["day", "instant"]),
            ("due_after=2026-12-02&due_before=2026-12-01", vec![]),
            ("created_before=2026-12-02", vec!["day"]),
            ("created_before=2026-12-01", vec![]),
            ("updated_after=2026-12-01T09:00:00.000001Z&updated_before=2026-12-02", vec!["instant"]),
            ("completed_after=2026-12-01&completed_before=2026-12-02", vec!["never"]),
            ("completed_before=9999-12-31", vec!["never"]),
            ("completed_after=2026-12-02", vec![]),
        ] {
            assert_eq!(titles(&role, me, query).await, expected, "{query}");
        }
    }

    pub(super) async fn overdue_means_past_due_and_still_to_be_done(database: Database) {
        let me = user();
        let due = |title: &str, due: &str, status| Task { due: due.parse().ok(), status, ..task(me, title) };
        insert(
            &database,
            &[
                due("day", "2026-12-01", Status::Open),
                due("instant", "2026-12-01T09:00:00Z", Status::InProgress),
                due("done", "2026-11-01", Status::Done),
                due("cancelled", "2026-11-01", Status::Cancelled),
                task(me, "never"),
            ],
        )
        .await;
        let role = TestRole::start(&database).await;
        for (now, expected) in [
            ("2026-12-01T08:59:59.999999Z", vec![]),
            ("2026-12-01T09:00:00Z", vec!["instant"]),
            ("2026-12-01T23:59:59.999999Z", vec!["instant"]),
            ("2026-12-02T00:00:00Z", vec!["day", "instant"]),
        ] {
            role.set_clock(at(now));
            assert_eq!(titles(&role, me, "overdue=true").await, expected, "{now}");
            assert_eq!(titles(&role, me, "overdue=false").await.len(), 5);
        }
    }

    pub(super) async fn the_trash_is_apart(database: Database) {
        let me = user();
        let deleted = |title: &str| Task { deleted_at: Some(at("2026-12-01T00:00:00Z")), ..task(me, title) };
        insert(&database, &[task(me, "kept"), deleted("gone"), deleted("also gone")]).await;
        let role = TestRole::start(&database).await;
        assert_eq!(titles(&role, me, "").await, ["kept"]);
        assert_eq!(titles(&role, me, "deleted=false").await, ["kept"]);
        assert_eq!(titles(&role, me, "deleted=true").await, ["also gone", "gone"]);
        assert_eq!(role.get(me, "/tasks?deleted=true&count=true&limit=1").await.json()["total"], 2);
        assert_eq!(role.get(me, "/tasks?count=true").await.json()["total"], 1);
    }

    pub(super) async fn orders_put_empty_values_last_both_ways(database: Database) {
        let me = user();
        let mut tasks = ["Émile", "anton", "Zoe", "anton 2"].map(|title| task(me, title));
        tasks.sort_by_key(|task| task.id);
        let dues = [None, Some("2026-12-02"), Some("2026-12-01T23:00:00Z"), None];
        let priorities = [Priority::Urgent, Priority::Low, Priority::High, Priority::High];
        for (n, task) in tasks.iter_mut().enumerate() {
            task.due = dues[n].and_then(|due| due.parse().ok());
            task.priority = priorities[n];
            task.created_at = Timestamp::from_micros(n as i64 / 2);
            task.updated_at = Timestamp::from_micros(-(n as i64));
        }
        insert(&database, &tasks).await;
        let role = TestRole::start(&database).await;
        for (sort, expected) in [
            ("due", [2, 1, 0, 3]),
            ("-due", [1, 2, 3, 0]),
            ("priority", [1, 2, 3, 0]),
            ("-priority", [0, 3, 2, 1]),
            ("title", [1, 3, 2, 0]),
            ("-title", [0, 2, 3, 1]),
            ("created_at", [0, 1, 2, 3]),
            ("-created_at", [3, 2, 1, 0]),
            ("updated_at", [3, 2, 1, 0]),
            ("-updated_at", [0, 1, 2, 3]),
        ] {
            let expected = expected.map(|n| tasks[n].title.clone());
            assert_eq!(role.get(me, &format!("/tasks?sort={sort}")).await.titles(), expected, "{sort}");
        }
        assert_eq!(
            role.get(me, "/tasks").await.titles(),
            role.get(me, "/tasks?sort=-created_at").await.titles()
        );
    }

    pub(super) async fn nobody_sees_the_tasks_of_another(database: Database) {
        let (me, other, nobody) = (user(), user(), user());
        insert(&database, &[task(me, "mine"), task(other, "theirs")]).await;
        let role = TestRole::start(&database).await;
        for query in
            ["", "?q=i", "?count=true", "?sort=due", "?status=open,done", "?created_after=1970-01-01"]
        {
            assert_eq!(role.get(me, &format!("/tasks{query}")).await.titles(), ["mine"], "{query}");
            assert_eq!(role.get(other, &format!("/tasks{query}")).await.titles(), ["theirs"], "{query}");
            let answer = role.get(nobody, &format!("/tasks{query}")).await;
            assert_eq!(answer.titles(), [""; 0], "{query}");
            assert_eq!(answer.json()["next_cursor"], json!(null));
        }
    }

    pub(super) async fn an_item_is_the_task_and_nothing_else(database: Database) {
        let me = user();
        let mut full = task(me, "Write “it” down");
        full.description = Some("with\nlines".to_owned());
        full.due = "2026-12-01".parse().ok();
        full.tags = vec!["b".to_owned(), "a".to_owned()];
        full.status = Status::Done;
        full.priority = Priority::Urgent;
        full.created_at = at("2026-11-22T10:00:00.123456Z");
        full.updated_at = at("2026-11-22T11:00:00Z");
        full.completed_at = Some(full.updated_at);
        full.version = 7;
        insert(&database, &[full.clone()]).await;
        let role = TestRole::start(&database).await;
        let expected = json!({
            "id": full.id, "title": "Write “it” down", "description": "with\nlines", "status": "done",
            "priority": "urgent", "due": "2026-12-01", "tags": ["b", "a"], "created_at": "2026-11-22T10:00:00.123456Z",
            "updated_at": "2026-11-22T11:00:00Z", "completed_at": "2026-11-22T11:00:00Z", "deleted_at": null,
            "version": 7,
        });
        let list = role.get(me, "/tasks").await;
        assert_eq!(list.json(), json!({"items": [expected], "next_cursor": null}));
        assert_eq!(list.header("content-type"), Some("application/json"));
        assert_eq!(list.header("cache-control"), Some("private, no-cache"));
        assert_eq!(list.header("link"), None);
        assert_eq!(role.get(me, &format!("/tasks/{}", full.id)).await.json(), expected);
    }
}
