//! `GET /tasks/events`.

super::on_both! {
    what_happens_is_told_as_it_is_projected;
    a_stream_takes_up_where_an_earlier_one_ended;
    long_changes_are_told_in_small_parts_and_none_is_left_out;
    what_was_parked_is_told_when_it_is_projected;
    what_was_parked_in_an_unfinished_list_of_changes_is_told;
    a_stream_ends_with_its_session;
    a_stream_ends_with_its_token;
    one_person_has_a_few_streams_at_once;
    a_place_that_is_sent_twice_is_refused;
    a_place_in_another_log_is_refused;
    a_place_before_the_first_event_is_refused_by_another_log;
    the_past_is_not_told_as_if_it_happened_now;
}

mod test {
    use std::time::Duration;

    use axum::body::{Body, BodyDataStream};
    use database::Database;
    use events::{Task, UserId};
    use futures::StreamExt;
    use serde_json::Value;
    use tokio::time::timeout;

    use crate::testing::{EXPIRES_AT, TestRole, audit, insert_at, insert_history, project, task, user};

    const TIMEOUT: Duration = Duration::from_secs(20);

    struct Stream {
        body: BodyDataStream,
        text: String,
    }

    impl Stream {
        async fn open(role: &TestRole, me: UserId, last_id: Option<&str>) -> Self {
            let headers: Vec<_> = last_id.iter().map(|id| ("last-event-id", *id)).collect();
            let answer = role.open(me, "/tasks/events", &headers).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            assert_eq!(answer.headers()["cache-control"], "private, no-cache");
            Self { body: answer.into_body().into_data_stream(), text: String::new() }
        }

        /// The next block of lines; `None` at the end of the stream.
        async fn block(&mut self) -> Option<String> {
            loop {
                if let Some((block, rest)) = self.text.split_once("\n\n") {
                    let block = block.to_owned();
                    self.text = rest.to_owned();
                    return Some(block);
                }
                let bytes = timeout(TIMEOUT, self.body.next()).await.unwrap()?.unwrap();
                self.text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }

        /// The id and the data of the next event.
        async fn event(&mut self) -> (String, Value) {
            loop {
                let block = self.block().await.unwrap();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::to_owned)
                };
                if let Some(data) = field("data: ") {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!(data["type"], field("event: ").unwrap());
                    return (field("id: ").unwrap(), data);
                }
            }
        }

        /// The id that the stream begins with.
        async fn greeting(&mut self) -> String {
            let block = self.block().await.unwrap();
            block.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
        }
    }

    /// Something happens to a new task.
    async fn happen(database: &Database, owner: UserId, title: &str, position: u64) -> Task {
        let task = task(owner, title);
        insert_history(database, std::slice::from_ref(&task), position).await;
        audit(database, &task, position).await;
        project(database, owner, position, true).await;
        task
    }

    pub(super) async fn what_happens_is_told_as_it_is_projected(database: Database) {
        let (me, other) = (user(), user());
        happen(&database, me, "Before", 1).await;
        let role = TestRole::start(&database).await;
        let mut stream = Stream::open(&role, me, None).await;
        stream.greeting().await;
        happen(&database, other, "Not mine", 2).await;
        let first = happen(&database, me, "First", 3).await;
        let (_, event) = stream.event().await;
        assert_eq!((&event["task"], &event["position"]), (&first.id.to_string().into(), &3.into()));
        assert_eq!(event["changes"][0]["to"], "First");
        happen(&database, me, "Second", 4).await;
        assert_eq!(stream.event().await.1["changes"][0]["to"], "Second");
    }

    pub(super) async fn a_stream_takes_up_where_an_earlier_one_ended(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let mut stream = Stream::open(&role, me, None).await;
        let start = stream.greeting().await;
        happen(&database, me, "1", 10).await;
        let (seen, _) = stream.event().await;
        drop(stream);
        for position in 11..60 {
            happen(&database, me, &format!("{}", position - 9), position).await;
        }
        for (last_id, first) in [(&start, 1), (&seen, 2)] {
            let mut stream = Stream::open(&role, me, Some(last_id)).await;
            for title in first..=50 {
                assert_eq!(stream.event().await.1["changes"][0]["to"], title.to_string());
            }
        }
        // A list of changes leads on to a stream.
        let next = role.get(me, "/tasks/changes").await.json()["next"].as_str().unwrap().to_owned();
        let mut stream = Stream::open(&role, me, Some(&next)).await;
        assert_eq!(stream.event().await.1["changes"][0]["to"], "1");
        // The place of another person is refused, and a browser without one sends nothing.
        role.get_with(user(), "/tasks/events", &[("last-event-id", &seen)])
            .await
            .assert_problem(400, "bad-cursor");
        Stream::open(&role, me, Some("")).await.greeting().await;
    }

    pub(super) async fn long_changes_are_told_in_small_parts_and_none_is_left_out(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let start = Stream::open(&role, me, None).await.greeting().await;
        // Two of 30,000 bytes fit into a part, and nothing beside one of 100,000.
        let lengths = [30_000, 100_000, 100_000, 30_000, 30_000, 30_000, 30_000, 1, 1, 100_000];
        for (position, length) in (10..).zip(lengths) {
            let mut long = task(me, &format!("{position}"));
            long.description = Some("x".repeat(length));
            insert_history(&database, std::slice::from_ref(&long), position).await;
            audit(&database, &long, position).await;
            project(&database, me, position, true).await;
        }
        let mut stream = Stream::open(&role, me, Some(&start)).await;
        let (mut told, mut parts) = (Vec::new(), Vec::new());
        while told.len() < lengths.len() {
            let part = timeout(TIMEOUT, stream.body.next()).await.unwrap().unwrap().unwrap();
            let text = std::str::from_utf8(&part).unwrap();
            let before = told.len();
            for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                let event: Value = serde_json::from_str(data).unwrap();
                told.push(event["position"].as_u64().unwrap());
            }
            if told.len() > before {
                assert!(told.len() == before + 1 || part.len() < 70_000, "{} bytes", part.len());
                parts.push(told.len() - before);
            }
        }
        assert_eq!(told, (10..20).collect::<Vec<u64>>(), "each once and in order");
        assert_eq!(parts, [1, 1, 1, 2, 4, 1]);
    }

    pub(super) async fn what_was_parked_is_told_when_it_is_projected(database: Database) {
        let me = user();
        let park = format!(
            "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
             VALUES (5, 'task-late', 1, 'task.created', '{me}', 'test', 1)"
        );
        let role = TestRole::start(&database).await;
        let mut stream = Stream::open(&role, me, None).await;
        stream.greeting().await;
        database.execute(&park, &[]).await.unwrap();
        happen(&database, me, "After", 6).await;
        let (seen, event) = stream.event().await;
        assert_eq!(event["changes"][0]["to"], "After");
        database.execute("DELETE FROM parked_events", &[]).await.unwrap();
        happen(&database, me, "Late", 5).await;
        happen(&database, me, "Later", 7).await;
        // A client that stayed, and one that comes back.
        let mut back = Stream::open(&role, me, Some(&seen)).await;
        for stream in [&mut stream, &mut back] {
            for title in ["Late", "After", "Later"] {
                assert_eq!(stream.event().await.1["changes"][0]["to"], title);
            }
        }
    }

    pub(super) async fn what_was_parked_in_an_unfinished_list_of_changes_is_told(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        for (title, position) in [("1", 10), ("2", 20), ("4", 40), ("5", 50)] {
            let task = happen(&database, me, title, position).await;
            insert_at(&database, &[(task, position)]).await;
        }
        let park = format!(
            "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
             VALUES (30, 'task-late', 1, 'task.created', '{me}', 'test', 1)"
        );
        database.execute(&park, &[]).await.unwrap();
        let page = role.get(me, "/tasks/changes?limit=3").await.json();
        assert_eq!(page["more"], true);
        database.execute("DELETE FROM parked_events", &[]).await.unwrap();
        insert_history(&database, &[task(me, "3")], 30).await;
        let mut stream = Stream::open(&role, me, page["next"].as_str()).await;
        for title in ["3", "4", "5"] {
            assert_eq!(stream.event().await.1["changes"][0]["to"], title);
        }
    }

    async fn assert_ends(mut stream: Stream) {
        let end = async { while stream.block().await.is_some() {} };
        timeout(TIMEOUT, end).await.unwrap();
    }

    pub(super) async fn a_stream_ends_with_its_session(database: Database) {
        let role = TestRole::start(&database).await;
        let stream = Stream::open(&role, user(), None).await;
        role.revoke();
        assert_ends(stream).await;
    }

    pub(super) async fn a_stream_ends_with_its_token(database: Database) {
        let role = TestRole::start(&database).await;
        let stream = Stream::open(&role, user(), None).await;
        role.set_clock(EXPIRES_AT);
        assert_ends(stream).await;
    }

    pub(super) async fn one_person_has_a_few_streams_at_once(database: Database) {
        let (me, other) = (user(), user());
        let role = TestRole::start(&database).await;
        let mut streams: Vec<Body> = Vec::new();
        for _ in 0..8 {
            streams.push(role.open(me, "/tasks/events", &[]).await.into_body());
        }
        let refused = role.get(me, "/tasks/events").await;
        refused.assert_problem(429, "rate-limited");
        assert!(refused.header("retry-after").is_some() && refused.header("ratelimit").is_some());
        Stream::open(&role, other, None).await;
        streams.pop();
        Stream::open(&role, me, None).await;
    }

    pub(super) async fn a_place_that_is_sent_twice_is_refused(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let place = Stream::open(&role, me, None).await.greeting().await;
        for other in [&*place, "", "nonsense"] {
            let twice = [("last-event-id", &*place), ("last-event-id", other)];
            role.get_with(me, "/tasks/events", &twice).await.assert_problem(400, "bad-parameter");
        }
    }

    pub(super) async fn a_place_in_another_log_is_refused(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        let mut stream = Stream::open(&role, me, None).await;
        happen(&database, me, "1", 10).await;
        let (seen, _) = stream.event().await;
        role.log().ends_at(9);
        role.get_with(me, "/tasks/events", &[("last-event-id", &seen)])
            .await
            .assert_problem(400, "bad-cursor");
        role.get(me, "/tasks/events?since=1").await.assert_problem(400, "bad-parameter");
    }

    /// The audit trail does not have the event at the checkpoint: it is of another partition, which is not projected
    /// yet.
    pub(super) async fn a_place_before_the_first_event_is_refused_by_another_log(database: Database) {
        for the_checkpoint_has_it in [true, false] {
            let me = user();
            project(&database, me, 40, true).await;
            let stranger = runtime::new_id();
            if the_checkpoint_has_it {
                database.execute("UPDATE checkpoints SET event_id = $1", &[stranger.into()]).await.unwrap();
            } else {
                database.execute("UPDATE checkpoints SET event_id = NULL", &[]).await.unwrap();
                insert_history(&database, &[task(me, "Mine")], 39).await;
                let sql = "UPDATE task_history SET event_id = $1 WHERE position = 39";
                database.execute(sql, &[stranger.into()]).await.unwrap();
            }
            let role = TestRole::start(&database).await;
            // The log that it meets has other events at these positions.
            let greeting = Stream::open(&role, me, None).await.greeting().await;
            role.get_with(me, "/tasks/events", &[("last-event-id", &greeting)])
                .await
                .assert_problem(400, "bad-cursor");
        }
    }

    pub(super) async fn the_past_is_not_told_as_if_it_happened_now(database: Database) {
        let me = user();
        project(&database, me, 10, true).await;
        let role = TestRole::start(&database).await;
        role.log().ends_at(1_000);
        role.get(me, "/tasks/events").await.assert_problem(503, "projection-behind");
        project(&database, me, 1_000, true).await;
        Stream::open(&role, me, None).await.greeting().await;
    }
}
