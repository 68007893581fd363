//! `GET /audit/events`.

super::on_both! {
    people_see_what_is_about_them_and_auditors_everything;
    each_filter_narrows_the_trail;
    what_is_still_being_erased_is_not_shown;
    pages_follow_each_other_from_the_newest_on;
    what_makes_no_sense_is_refused;
}

mod test {
    use database::Database;
    use events::UserId;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::testing::{Answer, TestRole, user};

    /// One entry, a second later than the one before.
    async fn entry(
        database: &Database,
        position: u64,
        subject: UserId,
        actor: &str,
        kind: &str,
        stream: &str,
        request: &str,
    ) {
        database
            .execute(
                "INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id, \
                 causation_id, recorded_at) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $3, $8)",
                &[
                    position.into(),
                    stream.into(),
                    Uuid::from_u128(position.into()).into(),
                    kind.into(),
                    subject.0.into(),
                    actor.into(),
                    request.into(),
                    (1_700_000_000_000_000 + position * 1_000_000).into(),
                ],
            )
            .await
            .unwrap();
    }

    fn positions(answer: &Answer) -> Vec<u64> {
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["position"].as_u64().unwrap()).collect()
    }

    /// `GET` with the token of an auditor.
    async fn as_auditor(role: &TestRole, id: UserId, path: &str) -> Answer {
        let request = http::Request::get(path)
            .header("authorization", format!("Bearer {}.auditor.b", id.0.simple()))
            .body(axum::body::Body::empty())
            .unwrap();
        role.send(request).await
    }

    async fn given(database: &Database) -> (UserId, UserId) {
        let (me, other) = (user(), user());
        let mine = me.to_string();
        entry(database, 1, me, &mine, "task.created", "task-1", "r1").await;
        entry(database, 2, me, &mine, "task.renamed", "task-1", "r2").await;
        entry(database, 3, other, &other.to_string(), "task.created", "task-2", "r3").await;
        entry(database, 4, me, "operator", "account.disabled", "account-1", "r4").await;
        entry(database, 5, me, &mine, "task.created", "task-3", "r2").await;
        (me, other)
    }

    pub(super) async fn people_see_what_is_about_them_and_auditors_everything(database: Database) {
        let (me, other) = given(&database).await;
        let role = TestRole::start(&database).await;
        let answer = role.get(me, "/audit/events").await;
        assert_eq!(positions(&answer), [5, 4, 2, 1]);
        assert_eq!(
            answer.json()["items"][1],
            json!({
                "position": 4, "stream": "account-1", "version": 1, "id": Uuid::from_u128(4).to_string(),
                "type": "account.disabled", "subject": me.to_string(), "actor": "operator",
                "correlation_id": "r4", "causation_id": Uuid::from_u128(4).to_string(),
                "recorded_at": "2023-11-14T22:13:24Z",
            })
        );
        assert!(answer.header("consistency-token").is_some());
        assert_eq!(positions(&role.get(other, "/audit/events").await), [3]);
        // Entries about others are invisible.
        assert_eq!(
            positions(&role.get(other, &format!("/audit/events?subject={me}")).await),
            Vec::<u64>::new()
        );
        assert_eq!(positions(&role.get(other, "/audit/events?correlation_id=r1").await), Vec::<u64>::new());
        assert_eq!(positions(&as_auditor(&role, other, "/audit/events").await), [5, 4, 3, 2, 1]);
        let of_one = as_auditor(&role, other, &format!("/audit/events?subject={me}")).await;
        assert_eq!(positions(&of_one), [5, 4, 2, 1]);
    }

    pub(super) async fn each_filter_narrows_the_trail(database: Database) {
        let (me, other) = given(&database).await;
        let role = TestRole::start(&database).await;
        // Two programs of one person, and one of another.
        let (first, second) = (format!("{me}/token/{}", user()), format!("{me}/token/{}", Uuid::nil()));
        let of_other = format!("{other}/token/{}", Uuid::nil());
        for (position, actor) in [(6, &first), (7, &second), (8, &of_other)] {
            entry(&database, position, other, actor, "task.completed", "task-4", "r6").await;
        }
        for (query, expected) in [
            (format!("actor={me}"), vec![7, 6, 5, 2, 1]),
            (format!("actor={other}"), vec![8, 3]),
            (format!("actor={first}"), vec![6]),
            (format!("actor={second}"), vec![7]),
            (format!("type=task.completed&actor={me}"), vec![7, 6]),
            ("actor=operator".to_owned(), vec![4]),
            ("actor=system".to_owned(), vec![]),
            (format!("subject={other}"), vec![8, 7, 6, 3]),
            ("type=task.created".to_owned(), vec![5, 3, 1]),
            ("type=task.created&stream=task-1".to_owned(), vec![1]),
            ("stream=task-1".to_owned(), vec![2, 1]),
            ("correlation_id=r2".to_owned(), vec![5, 2]),
            ("from=2023-11-14T22:13:23Z".to_owned(), vec![8, 7, 6, 5, 4, 3]),
            ("to=2023-11-14T22:13:23Z".to_owned(), vec![2, 1]),
            ("from=2023-11-14&to=2023-11-15".to_owned(), vec![8, 7, 6, 5, 4, 3, 2, 1]),
            ("from=2023-11-15".to_owned(), vec![]),
            (format!("actor={me}&type=task.created&from=2023-11-14T22:13:22Z"), vec![5]),
        ] {
            let answer = as_auditor(&role, other, &format!("/audit/events?{query}")).await;
            assert_eq!(positions(&answer), expected, "{query}");
        }
    }

    /// The projector is still working on the rows of a person who was erased.
    pub(super) async fn what_is_still_being_erased_is_not_shown(database: Database) {
        let (me, other) = given(&database).await;
        for sql in [
            r#"UPDATE audit_log SET operation = '{"reason":"because"}' WHERE type = 'account.disabled'"#
                .to_owned(),
            format!("INSERT INTO unfinished_erasures (subject) VALUES ('{me}')"),
        ] {
            database.execute(&sql, &[]).await.unwrap();
        }
        let role = TestRole::start(&database).await;
        let answer = as_auditor(&role, other, "/audit/events").await;
        assert_eq!(positions(&answer), [5, 4, 3, 2, 1]);
        for item in answer.json()["items"].as_array().unwrap() {
            let is_mine = item["subject"] == me.to_string();
            assert_eq!(item["correlation_id"] == "erased", is_mine, "{item}");
            assert!(item.get("operation").is_none_or(Value::is_null), "{item}");
        }
        for (id, expected) in [("r2", vec![]), ("r3", vec![3]), ("erased", vec![])] {
            let answer = as_auditor(&role, other, &format!("/audit/events?correlation_id={id}")).await;
            assert_eq!(positions(&answer), expected, "{id}");
        }
    }

    pub(super) async fn pages_follow_each_other_from_the_newest_on(database: Database) {
        let (me, other) = (user(), user());
        for position in 1..=25 {
            let request = format!("r{position}");
            entry(&database, position, me, "system", "task.created", "task-1", &request).await;
        }
        let role = TestRole::start(&database).await;
        let (mut all, mut query) = (Vec::new(), "limit=10".to_owned());
        let mut cursor = String::new();
        loop {
            let answer = role.get(me, &format!("/audit/events?{query}")).await;
            all.extend(positions(&answer));
            // Entries that are added meanwhile are newer.
            let position = 100 + all.len() as u64;
            entry(&database, position, me, "system", "task.created", "task-1", "late").await;
            let Value::String(next) = &answer.json()["next_cursor"] else {
                break;
            };
            query = format!("limit=10&cursor={next}");
            cursor.clone_from(next);
        }
        assert_eq!(all, (1..=25).rev().collect::<Vec<_>>());
        role.get(other, &format!("/audit/events?cursor={cursor}")).await.assert_problem(400, "bad-cursor");
        role.get(me, &format!("/audit/events?type=task.created&cursor={cursor}"))
            .await
            .assert_problem(400, "bad-cursor");
    }

    pub(super) async fn what_makes_no_sense_is_refused(database: Database) {
        let me = user();
        let role = TestRole::start(&database).await;
        for (query, code) in [
            ("actor=nobody", "bad-parameter"),
            ("subject=me", "bad-parameter"),
            ("type=", "bad-parameter"),
            ("type=task%20created", "bad-parameter"),
            ("stream=%C3%A9", "bad-parameter"),
            ("from=yesterday", "bad-parameter"),
            ("limit=0", "bad-parameter"),
            ("limit=101", "bad-parameter"),
            ("page=2", "bad-parameter"),
            ("cursor=AAAA", "bad-cursor"),
        ] {
            role.get(me, &format!("/audit/events?{query}")).await.assert_problem(400, code);
        }
    }
}
