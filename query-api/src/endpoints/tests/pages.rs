//! From page to page.

super::on_both! {
    pages_follow_each_other_by_cursor_and_by_link;
    a_cursor_is_good_for_its_own_query_only;
    pages_stay_in_step_while_tasks_come_change_and_go;
    the_overdue_filter_may_be_paged_while_time_passes;
    a_task_that_changes_moves_ahead_in_the_order_of_changes;
    a_row_that_cannot_be_read_is_left_out;
}

pub(super) const SORTS: [&str; 10] = [
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "due",
    "-due",
    "priority",
    "-priority",
    "title",
    "-title",
];

mod test {
    use std::collections::BTreeSet;

    use database::Database;
    use events::{Due, Priority, Task, TaskId, Timestamp, UserId};
    use serde_json::{Value, json};

    use super::SORTS;
    use crate::testing::{TestRole, insert, task, user};

    /// Tasks with many equal values, so that the ids decide.
    fn tasks(owner: UserId, count: i64) -> Vec<Task> {
        let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
        (0..count)
            .map(|n| Task {
                priority: priorities[n as usize % 4],
                due: (n % 3 != 0).then(|| Due::At(Timestamp::from_micros(n % 5))),
                created_at: Timestamp::from_micros(n % 4),
                updated_at: Timestamp::from_micros(n % 2),
                ..task(owner, &format!("Task {}", n % 7))
            })
            .collect()
    }

    fn ids(page: &Value) -> Vec<TaskId> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The path in a `Link` header.
    fn linked(link: &str) -> &str {
        link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap()
    }

    pub(super) async fn pages_follow_each_other_by_cursor_and_by_link(database: Database) {
        let me = user();
        insert(&database, &tasks(me, 10)).await;
        let role = TestRole::start(&database).await;
        let all = ids(&role.get(me, "/tasks?status=open&q=tASK").await.json());
        assert_eq!(all.len(), 10);

        let first = role.get(me, "/tasks?q=tASK&limit=4&status=open&count=true").await;
        assert_eq!(ids(&first.json()), all[..4]);
        assert_eq!(first.json()["total"], 10);
        let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
        let link = first.header("link").unwrap();
        assert_eq!(linked(link), format!("/tasks?q=tASK&limit=4&status=open&count=true&cursor={cursor}"));

        let second = role.get(me, linked(link)).await;
        assert_eq!(ids(&second.json()), all[4..8]);
        assert_eq!(second.json()["total"], 10, "the total does not depend on the page");
        let third = role.get(me, linked(second.header("link").unwrap())).await;
        assert_eq!(ids(&third.json()), all[8..]);
        assert_eq!((third.json()["next_cursor"].clone(), third.header("link")), (json!(null), None));

        // With another limit, another order of the parameters, and no count it is still the same query.
        let rest = role.get(me, &format!("/tasks?cursor={cursor}&limit=6&q=task&status=open")).await;
        assert_eq!(ids(&rest.json()), all[4..]);
        assert_eq!((rest.json()["next_cursor"].clone(), rest.json().get("total")), (json!(null), None));

        for (limit, items, more) in [(9, 9, true), (10, 10, false), (100, 10, false), (1, 1, true)] {
            let page = role.get(me, &format!("/tasks?limit={limit}")).await.json();
            assert_eq!((ids(&page).len(), page["next_cursor"].is_string()), (items, more), "limit {limit}");
        }
    }

    pub(super) async fn a_cursor_is_good_for_its_own_query_only(database: Database) {
        let (me, other) = (user(), user());
        insert(&database, &tasks(me, 5)).await;
        insert(&database, &tasks(other, 5)).await;
        let role = TestRole::start(&database).await;
        let page = role.get(me, "/tasks?limit=2&status=open").await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        let good = format!("/tasks?status=open&cursor={cursor}");
        assert_eq!(role.get(me, &good).await.titles().len(), 3);

        for query in ["", "&status=done", "&status=open,done", "&status=open&q=a", "&status=open&sort=title"]
        {
            role.get(me, &format!("/tasks?cursor={cursor}{query}")).await.assert_problem(400, "bad-cursor");
        }
        role.get(me, &format!("{good}&sort=created_at")).await.assert_problem(400, "bad-cursor");
        role.get(me, &format!("{good}&deleted=true")).await.assert_problem(400, "bad-cursor");
        role.get(me, &format!("{good}&overdue=true")).await.assert_problem(400, "bad-cursor");
        role.get(me, &format!("{good}A")).await.assert_problem(400, "bad-cursor");
        role.get(other, &good).await.assert_problem(400, "bad-cursor");

        // Another replica with the same key accepts it, one with another key does not.
        assert_eq!(TestRole::start(&database).await.get(me, &good).await.titles().len(), 3);
        let stranger = TestRole::with_cursor_key(&database, [8; 32]).await;
        stranger.get(me, &good).await.assert_problem(400, "bad-cursor");
    }

    pub(super) async fn pages_stay_in_step_while_tasks_come_change_and_go(database: Database) {
        for sort in SORTS {
            let me = user();
            let at_first = tasks(me, 30);
            insert(&database, &at_first).await;
            let role = TestRole::start(&database).await;
            let expected = ids(&role.get(me, &format!("/tasks?limit=100&sort={sort}")).await.json());

            let (mut path, mut seen) = (format!("/tasks?limit=4&sort={sort}"), Vec::new());
            let (mut removed, mut rounds) = (BTreeSet::new(), 0);
            loop {
                let answer = role.get(me, &path).await;
                assert_eq!(answer.status.as_u16(), 200);
                let page = ids(&answer.json());
                // The last task of the page is deleted, and so is one of a later page.
                let gone =
                    [page.last().copied(), expected.iter().rev().find(|id| !removed.contains(*id)).copied()];
                seen.extend(page);
                for id in gone.into_iter().flatten() {
                    let task = at_first.iter().find(|task| task.id == id);
                    if let Some(task) = task {
                        let deleted = Task { deleted_at: Some(Timestamp::from_micros(0)), ..task.clone() };
                        insert(&database, &[deleted]).await;
                        removed.insert(id);
                    }
                }
                // New tasks appear everywhere in the order, fewer than a page shows.
                insert(&database, &tasks(me, 13)[rounds % 11..][..2]).await;
                rounds += 1;
                // All others change, except for the sorted column.
                let changed: Vec<_> = at_first
                    .iter()
                    .filter(|task| !removed.contains(&task.id))
                    .map(|task| Task {
                        version: task.version + 1,
                        description: Some("changed".into()),
                        ..task.clone()
                    })
                    .collect();
                insert(&database, &changed).await;
                match answer.header("link") {
                    Some(link) => path = linked(link).to_owned(),
                    None => break,
                }
                assert!(seen.len() < 1_000, "the pages never end");
            }

            let once: BTreeSet<_> = seen.iter().copied().collect();
            assert_eq!(once.len(), seen.len(), "{sort}: nothing is shown twice");
            let mine: Vec<_> = seen.iter().filter(|id| expected.contains(id)).copied().collect();
            let in_order: Vec<_> = expected.iter().filter(|id| mine.contains(id)).copied().collect();
            assert_eq!(mine, in_order, "{sort}: the order is kept");
            for id in &expected {
                assert!(once.contains(id) || removed.contains(id), "{sort}: {id} was passed over");
            }
        }
    }

    pub(super) async fn the_overdue_filter_may_be_paged_while_time_passes(database: Database) {
        let me = user();
        let due = |n: i64| Task { due: Some(Due::At(Timestamp::from_micros(n))), ..task(me, &n.to_string()) };
        insert(&database, &(1..=6).map(due).collect::<Vec<_>>()).await;
        let role = TestRole::start(&database).await;
        role.set_clock(Timestamp::from_micros(4));
        let first = role.get(me, "/tasks?overdue=true&sort=due&limit=3").await;
        assert_eq!(first.titles(), ["1", "2", "3"]);
        role.set_clock(Timestamp::from_micros(5));
        assert_eq!(role.get(me, linked(first.header("link").unwrap())).await.titles(), ["4", "5"]);
    }

    /// A property of pages that continue after a place: see "Pages" in `docs/architecture.md`.
    pub(super) async fn a_task_that_changes_moves_ahead_in_the_order_of_changes(database: Database) {
        let me = user();
        let tasks: Vec<_> = (1..=12)
            .map(|n| Task { updated_at: Timestamp::from_micros(n), ..task(me, &n.to_string()) })
            .collect();
        insert(&database, &tasks).await;
        let role = TestRole::start(&database).await;
        for (sort, change, missed) in [("updated_at", 10, false), ("-updated_at", 3, true)] {
            let changed = Task {
                updated_at: Timestamp::from_micros(100 + change),
                version: 2,
                ..tasks[change as usize - 1].clone()
            };
            let (mut path, mut seen) = (format!("/tasks?limit=4&sort={sort}"), Vec::new());
            loop {
                let answer = role.get(me, &path).await;
                seen.extend(ids(&answer.json()));
                insert(&database, std::slice::from_ref(&changed)).await;
                match answer.header("link") {
                    Some(link) => path = linked(link).to_owned(),
                    None => break,
                }
            }
            for task in &tasks {
                let times = seen.iter().filter(|id| **id == task.id).count();
                assert_eq!(times, usize::from(task.id != changed.id || !missed), "{sort}: {}", task.title);
            }
            // The newest change is the first of the next list.
            let again = role.get(me, "/tasks?limit=1&sort=-updated_at").await.json();
            assert_eq!(ids(&again), [changed.id]);
            insert(&database, &tasks).await;
        }
    }

    pub(super) async fn a_row_that_cannot_be_read_is_left_out(database: Database) {
        let owner = user();
        let shown = task(owner, "Shown");
        for damage in ["priority = 17", "tags = '{'", "tags = '{}'", "status = 'paused'", "due = 'some day'"]
        {
            let damaged = task(owner, "Damaged");
            insert(&database, std::slice::from_ref(&damaged)).await;
            let sql = format!("UPDATE tasks SET {damage} WHERE id = '{}'", damaged.id);
            assert_eq!(database.execute(&sql, &[]).await.unwrap(), 1);
        }
        insert(&database, &[shown]).await;
        let role = TestRole::start(&database).await;
        let answer = role.get(owner, "/tasks").await;
        assert_eq!(answer.titles(), ["Shown"]);
    }
}
