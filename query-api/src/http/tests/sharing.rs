//! One caller beside another.

super::on_both! {
    whoever_asks_for_too_much_at_once_is_told_so_and_nobody_else_is;
}

mod test {
    use database::Database;
    use futures::future::join_all;
    use http::StatusCode;

    use crate::testing::{TestRole, insert, task, user};

    pub(super) async fn whoever_asks_for_too_much_at_once_is_told_so_and_nobody_else_is(database: Database) {
        let (greedy, honest) = (user(), user());
        insert(&database, &[task(greedy, "mine"), task(honest, "mine")]).await;
        let role = TestRole::start(&database).await;
        let searches = join_all((0..150).map(|_| role.get(greedy, "/tasks?q=mine&count=true")));
        let honest = async {
            for _ in 0..10 {
                for path in ["/tasks", "/tasks?q=mine"] {
                    assert_eq!(role.get(honest, path).await.titles(), ["mine"]);
                }
            }
        };
        let (searches, ()) = futures::join!(searches, honest);
        let (answered, refused): (Vec<_>, Vec<_>) = searches
            .iter()
            .partition(|answer| answer.status == StatusCode::OK);
        assert!(answered.len() >= 64, "{} were answered", answered.len());
        assert!(!refused.is_empty());
        for answer in refused {
            answer.assert_problem(503, "overloaded");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        // Afterwards everything is as before.
        assert_eq!(role.get(greedy, "/tasks?q=mine").await.titles(), ["mine"]);
    }
}
