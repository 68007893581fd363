//! The entity tag of a page of `GET /tasks`.

super::on_both! {
    a_page_has_a_tag_that_stands_for_its_bytes;
}

mod test {
    use database::Database;

    use crate::testing::{TestRole, insert, task, user};

    pub(super) async fn a_page_has_a_tag_that_stands_for_its_bytes(database: Database) {
        let me = user();
        insert(&database, &[task(me, "mine"), task(me, "also mine")]).await;
        let role = TestRole::start(&database).await;
        let first = role.get(me, "/tasks").await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(tag.len(), 24, "{tag}");
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is strong");
        assert_eq!(role.get(me, "/tasks").await.header("etag"), Some(&*tag));
        let other = role.get(me, "/tasks?limit=1").await;
        assert_ne!(other.header("etag"), Some(&*tag));

        for (name, tags, status) in [
            ("if-none-match", tag.clone(), 304),
            ("if-none-match", format!("W/{tag}, \"x\""), 304),
            ("if-none-match", "*".to_owned(), 304),
            ("if-none-match", "\"x\"".to_owned(), 200),
            ("if-match", tag.clone(), 200),
            ("if-match", format!("W/{tag}"), 412),
            ("if-match", "\"x\"".to_owned(), 412),
            ("if-none-match", "x".to_owned(), 400),
        ] {
            let answer = role.get_with(me, "/tasks", &[(name, &tags)]).await;
            assert_eq!(answer.status.as_u16(), status, "{name}: {tags}");
            if status != 400 {
                assert_eq!(answer.header("etag"), Some(&*tag), "{name}: {tags}");
            }
            assert_eq!(answer.bytes.is_empty(), status == 304, "{name}: {tags}");
        }

        insert(&database, &[task(me, "new")]).await;
        assert_ne!(role.get(me, "/tasks").await.header("etag"), Some(&*tag));
        let changed = role.get_with(me, "/tasks", &[("if-none-match", &tag)]).await;
        assert_eq!(changed.status.as_u16(), 200);
    }
}
