//! `GET /tasks/{id}`.

super::on_both! {
    a_task_is_shown_with_its_version_as_etag;
    what_if_match_does_not_name_is_not_shown;
    what_is_not_there_for_the_caller_is_not_found;
}

mod test {
    use database::Database;
    use events::{Task, Timestamp};
    use http::StatusCode;

    use crate::testing::{TestRole, insert, task, user};

    pub(super) async fn a_task_is_shown_with_its_version_as_etag(database: Database) {
        let me = user();
        let mine = Task { version: 3, ..task(me, "mine") };
        insert(&database, std::slice::from_ref(&mine)).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}", mine.id);

        let answer = role.get(me, &path).await;
        assert_eq!(answer.status, StatusCode::OK);
        let shown = serde_json::to_string(&api_types::Task::from(&mine)).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.bytes), shown);
        assert_eq!(answer.header("etag"), Some("\"3\""));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        assert!(answer.header("consistency-token").is_some());

        for (tags, status) in
            [("\"3\"", 304), ("W/\"3\"", 304), ("\"1\", \"3\"", 304), ("*", 304), ("\"2\"", 200)]
        {
            let answer = role.get_with(me, &path, &[("if-none-match", tags)]).await;
            assert_eq!(answer.status.as_u16(), status, "{tags}");
            assert_eq!(answer.header("etag"), Some("\"3\""));
            assert!(answer.header("consistency-token").is_some());
            assert_eq!(answer.bytes.is_empty(), status == 304);
        }
    }

    pub(super) async fn what_if_match_does_not_name_is_not_shown(database: Database) {
        let me = user();
        let mine = Task { version: 3, ..task(me, "mine") };
        insert(&database, std::slice::from_ref(&mine)).await;
        let role = TestRole::start(&database).await;
        let path = format!("/tasks/{}", mine.id);
        for tags in ["\"3\"", "*", "\"1\", \"3\""] {
            let answer = role.get_with(me, &path, &[("if-match", tags)]).await;
            assert_eq!(answer.status, StatusCode::OK, "{tags}");
        }
        for tags in ["\"999\"", "W/\"3\"", "\"x\""] {
            // `If-Match` comes first.
            let answer = role.get_with(me, &path, &[("if-match", tags), ("if-none-match", "\"3\"")]).await;
            answer.assert_problem(412, "version-mismatch");
            assert_eq!(answer.header("etag"), Some("\"3\""));
            assert!(answer.header("consistency-token").is_some());
        }
        for name in ["if-match", "if-none-match"] {
            role.get_with(me, &path, &[(name, "zzz")]).await.assert_problem(400, "bad-parameter");
        }
    }

    pub(super) async fn what_is_not_there_for_the_caller_is_not_found(database: Database) {
        let (me, other) = (user(), user());
        let mine = task(me, "mine");
        let deleted = Task { deleted_at: Some(Timestamp::from_micros(1)), ..task(me, "deleted") };
        insert(&database, &[mine.clone(), deleted.clone()]).await;
        let role = TestRole::start(&database).await;
        role.get(other, &format!("/tasks/{}", mine.id)).await.assert_problem(404, "not-found");
        role.get_with(other, &format!("/tasks/{}", mine.id), &[("if-none-match", "*")])
            .await
            .assert_problem(404, "not-found");
        // What is not there names the state in which it is not, and is not stored.
        for path in [
            format!("/tasks/{}", deleted.id),
            format!("/tasks/{}?version=9", mine.id),
            format!("/tasks/{}/history", user()),
        ] {
            let answer = role.get(me, &path).await;
            answer.assert_problem(404, "not-found");
            assert!(answer.header("consistency-token").is_some(), "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let malformed = [
            "1",
            "none",
            "%00",
            "%FF",
            &mine.id.0.simple().to_string(),
            &mine.id.0.braced().to_string().replace('{', "%7B").replace('}', "%7D"),
            &format!("{}0", mine.id),
            "0190f5a2-0000-7000-8000-00000000000g",
            &user().to_string(),
        ];
        for id in malformed {
            role.get(me, &format!("/tasks/{id}")).await.assert_problem(404, "not-found");
        }
    }
}
