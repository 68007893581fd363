//! The results of a search, and how few rows it reads.

super::on_both! {
    parts_of_words_of_any_length_are_found_with_and_without_grams;
    a_word_that_occurs_nowhere_is_ruled_out_without_reading_text;
    tasks_that_nearly_match_are_read_a_bounded_number_at_a_time;
    a_frequent_word_fills_pages_in_every_order;
}

mod test {
    use std::collections::BTreeSet;

    use database::{Database, Dialect};
    use events::{Task, Timestamp, UserId};
    use http::StatusCode;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use serde_json::Value;

    use crate::{
        tasks::{Filter, MAX_CANDIDATES, Statement},
        testing::{TestRole, insert, task, user},
    };

    /// The answer; a busy machine may need several attempts.
    async fn patiently(role: &TestRole, caller: UserId, path: &str) -> Value {
        for _ in 0..20 {
            let answer = role.get(caller, path).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer.json();
            }
        }
        panic!("{path} is never answered");
    }

    pub(super) async fn parts_of_words_of_any_length_are_found_with_and_without_grams(database: Database) {
        let me = user();
        let texts = ["Grüße aus Köln", "日本語の本", "a 🍎🍏", "100% _done_ \\o/", "ÅNGSTRÖM ﬁn", "´accent"];
        for (n, text) in texts.iter().enumerate() {
            let described = Task {
                description: Some(text.to_lowercase()),
                tags: vec![(*text).to_owned()],
                ..task(me, &format!("No. {n}: {text}"))
            };
            insert(&database, &[described]).await;
        }
        let role = TestRole::start(&database).await;
        for filled in [true, false] {
            for (n, text) in texts.iter().enumerate() {
                for word in text.split_whitespace() {
                    let characters: Vec<char> = word.chars().collect();
                    for part in (1..=characters.len()).flat_map(|length| characters.windows(length)) {
                        let part: String = part.iter().collect();
                        let path = format!("/tasks?q={}", utf8_percent_encode(&part, NON_ALPHANUMERIC));
                        let found = role.get(me, &path).await.titles();
                        assert!(
                            found.contains(&format!("No. {n}: {text}")),
                            "{part:?}, grams filled: {filled}: {found:?}"
                        );
                    }
                }
            }
            assert_eq!(role.get(me, "/tasks?q=nowhere").await.titles(), [""; 0]);
            // As after a migration, before the projector has filled it.
            database.execute("UPDATE tasks SET grams = NULL", &[]).await.unwrap();
        }
    }

    pub(super) async fn a_word_that_occurs_nowhere_is_ruled_out_without_reading_text(database: Database) {
        let me = user();
        let text = "the quick brown fox jumps over the lazy dog ".repeat(20);
        let tasks: Vec<_> = (0..1_500)
            .map(|n| Task { description: Some(format!("{text} {n}")), ..task(me, "long") })
            .collect();
        insert(&database, &tasks).await;
        for word in ["absent", "%", "語", "ß", "qu1ck", "foxes", "1499"] {
            let filter = Filter { words: [word.to_owned()].into(), ..Filter::default() };
            let statement = Statement::candidates(Dialect::of(&database), me, &filter);
            let candidates = database.fetch_all(&statement.text, &statement.values).await.unwrap();
            assert!(candidates.len() <= 15, "{word}: {} candidates of 1,500", candidates.len());
        }
    }

    pub(super) async fn tasks_that_nearly_match_are_read_a_bounded_number_at_a_time(database: Database) {
        let me = user();
        // All grams of the word, but not the word.
        let near = |n: i64| Task {
            description: Some("abca cabd".to_owned()),
            created_at: Timestamp::from_micros(n),
            ..task(me, "near")
        };
        let mut tasks: Vec<_> = (0..2_500).map(|n| near(n + 1)).collect();
        tasks[7].title = "abcabd".to_owned();
        tasks[1_700].title = "abcabd".to_owned();
        insert(&database, &tasks).await;
        let role = TestRole::start(&database).await;
        for (sort, expected) in
            [("created_at", [tasks[7].id, tasks[1_700].id]), ("-created_at", [tasks[1_700].id, tasks[7].id])]
        {
            let (mut found, mut pages) = (Vec::new(), 0);
            let mut path = format!("/tasks?q=ABCabd&count=true&sort={sort}");
            loop {
                let page = patiently(&role, me, &path).await;
                assert_eq!(page["total"], 2, "{page}");
                let items = page["items"].as_array().unwrap().iter();
                found.extend(items.map(|item| item["id"].as_str().unwrap().to_owned()));
                pages += 1;
                match page["next_cursor"].as_str() {
                    Some(cursor) => path = format!("/tasks?q=abcabd&count=true&sort={sort}&cursor={cursor}"),
                    None => break,
                }
            }
            assert_eq!(found, expected.map(|id| id.0.to_string()), "{sort}");
            assert_eq!(pages, tasks.len() / MAX_CANDIDATES + 1, "{sort}");
        }
    }

    pub(super) async fn a_frequent_word_fills_pages_in_every_order(database: Database) {
        let me = user();
        let tasks: Vec<_> = (0..i64::try_from(MAX_CANDIDATES).unwrap() + 200)
            .map(|n| Task {
                created_at: Timestamp::from_micros(n),
                updated_at: Timestamp::from_micros(n * 7919 % 1_000),
                deleted_at: (n % 2 == 0 && n < 400).then_some(Timestamp::from_micros(1)),
                ..task(me, &format!("frequent {}", n * 31 % 997))
            })
            .collect();
        insert(&database, &tasks).await;
        let role = TestRole::start(&database).await;
        for sort in super::super::pages::SORTS {
            for (deleted, count) in [(false, tasks.len() - 200), (true, 200)] {
                let (mut ids, mut sizes) = (BTreeSet::new(), Vec::new());
                let mut cursor = String::new();
                loop {
                    let path = format!("/tasks?q=freq+uent&limit=100&deleted={deleted}&sort={sort}{cursor}");
                    let page = patiently(&role, me, &path).await;
                    let items = page["items"].as_array().unwrap();
                    sizes.push(items.len());
                    ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
                    match page["next_cursor"].as_str() {
                        Some(next) => cursor = format!("&cursor={next}"),
                        None => break,
                    }
                }
                assert_eq!((ids.len(), sizes), (count, vec![100; count / 100]), "{sort}");
            }
        }
    }
}
