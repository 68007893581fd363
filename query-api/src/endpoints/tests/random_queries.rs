//! For any tasks and any query, paging returns exactly the same as filtering and sorting the tasks in memory.

use std::{cmp::Ordering, fmt::Debug};

use api_types::TaskPage;
use database::Database;
use events::{Due, Priority, Status, Task, TaskId, Timestamp, UserId, fold_text};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
    test_runner::{Config, TestRunner},
};
use serde::Serialize;
use uuid::Uuid;

use crate::testing::{TestRole, insert, on_postgres, on_sqlite, user};

const STATUSES: [Status; 4] = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];
const PRIORITIES: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
const TAGS: [&str; 6] = ["home", "home office", "Größe", "100%", "a_b", "Smith, J."];
const WORDS: [&str; 14] = [
    "Straße",
    "STRASSE",
    "ΟΔΟΣ",
    "οδός",
    "日本語",
    "50%",
    "a_b",
    "axb",
    r"a\b",
    "e\u{301}t\u{e9}",
    "ﬁne",
    "İstanbul",
    "👩‍🚀",
    "milk",
];
/// The values of the time bounds and of the tasks' instants, so that they often meet.
const DAYS: [&str; 6] = [
    "1970-01-01",
    "2026-12-01",
    "2026-12-01T00:00:00.000001Z",
    "2026-12-01T09:00:00Z",
    "2026-12-02",
    "9999-12-31",
];
const NOW: &str = "2026-12-01T09:00:00Z";

type Bounds = (Option<&'static str>, Option<&'static str>);

#[derive(Debug, Clone)]
struct Query {
    statuses: Vec<Status>,
    priorities: Vec<Priority>,
    tags: Vec<&'static str>,
    due: Bounds,
    created: Bounds,
    updated: Bounds,
    completed: Bounds,
    overdue: bool,
    words: Vec<String>,
    deleted: bool,
    sort: &'static str,
    descending: bool,
    limit: usize,
}

fn instant() -> impl Strategy<Value = Timestamp> {
    select(&DAYS[..]).prop_map(|day| day.parse::<Due>().unwrap().starts_at())
}

fn words(most: usize) -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 1..=most).prop_map(|words| words.join(" "))
}

fn tasks() -> impl Strategy<Value = Vec<Task>> {
    let times = (instant(), instant(), option::of(instant()), option::weighted(0.2, instant()));
    let due = option::of(select(&DAYS[..]).prop_map(|day| day.parse::<Due>().unwrap()));
    let tags = subsequence(&TAGS[..], 0..=3).prop_shuffle();
    let texts = (words(3), option::of(words(4)), tags);
    let task = (any::<u128>(), texts, select(&STATUSES[..]), select(&PRIORITIES[..]), due, times).prop_map(
        |(
            id,
            (title, description, tags),
            status,
            priority,
            due,
            (created_at, updated_at, completed_at, deleted_at),
        )| {
            Task {
                id: TaskId(Uuid::from_u128(id)),
                owner: UserId(Uuid::nil()),
                title,
                description,
                status,
                priority,
                due,
                tags: tags.into_iter().map(str::to_owned).collect(),
                created_at,
                updated_at,
                completed_at,
                deleted_at,
                version: 1,
            }
        },
    );
    vec(task, 0..40)
}

fn query() -> impl Strategy<Value = Query> {
    /// Usually empty: all filters together would find nothing.
    fn seldom<T: Debug + Clone>(some: impl Strategy<Value = Vec<T>>) -> impl Strategy<Value = Vec<T>> {
        prop_oneof![3 => Just(Vec::new()), 1 => some]
    }
    fn bounds() -> impl Strategy<Value = Bounds> {
        let bound = || option::weighted(0.1, select(&DAYS[..]));
        (bound(), bound())
    }
    let lists = (
        seldom(subsequence(&STATUSES[..], 1..=3)),
        seldom(subsequence(&PRIORITIES[..], 1..=3)),
        seldom(subsequence(&TAGS[..], 1..=2)),
        seldom(vec(part_of_a_word(), 1..=2)),
    );
    let ranges = (bounds(), bounds(), bounds(), bounds());
    let flags = (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1));
    let order = (select(&["created_at", "updated_at", "due", "priority", "title"][..]), any::<bool>());
    (lists, ranges, flags, order, 1..=12_usize).prop_map(
        |(lists, ranges, flags, (sort, descending), limit)| Query {
            statuses: lists.0,
            priorities: lists.1,
            tags: lists.2,
            words: lists.3,
            due: ranges.0,
            created: ranges.1,
            updated: ranges.2,
            completed: ranges.3,
            overdue: flags.0,
            deleted: flags.1,
            sort,
            descending,
            limit,
        },
    )
}

/// A word or a piece of one, in another case.
fn part_of_a_word() -> impl Strategy<Value = String> {
    (select(&WORDS[..]), 1..=6_usize, 0..=2_usize).prop_map(|(word, length, case)| {
        let part: String = word.chars().take(length).collect();
        match case {
            0 => part,
            1 => part.to_uppercase(),
            _ => part.to_lowercase(),
        }
    })
}

impl Query {
    fn path(&self) -> String {
        let mut pairs = vec![format!("limit={}", self.limit), "count=true".to_owned()];
        let mut add = |name: &str, value: &str| {
            pairs.push(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        };
        add("sort", &format!("{}{}", if self.descending { "-" } else { "" }, self.sort));
        if !self.statuses.is_empty() {
            add("status", &names(&self.statuses).join(","));
        }
        names(&self.priorities).iter().for_each(|name| add("priority", name));
        self.tags.iter().for_each(|tag| add("tag", tag));
        let ranges = [
            (["due_after", "due_before"], self.due),
            (["created_after", "created_before"], self.created),
            (["updated_after", "updated_before"], self.updated),
            (["completed_after", "completed_before"], self.completed),
        ];
        for ([after, before], bounds) in ranges {
            bounds.0.iter().for_each(|bound| add(after, bound));
            bounds.1.iter().for_each(|bound| add(before, bound));
        }
        if self.overdue {
            add("overdue", "true");
        }
        if self.deleted {
            add("deleted", "true");
        }
        if !self.words.is_empty() {
            add("q", &self.words.join(" "));
        }
        format!("/tasks?{}", pairs.join("&"))
    }

    fn matches(&self, task: &Task, now: Timestamp) -> bool {
        let within = |(after, before): Bounds, value: Option<Timestamp>| {
            let starts_at = |bound: &str| bound.parse::<Due>().unwrap().starts_at();
            after.is_none_or(|after| value.is_some_and(|value| value >= starts_at(after)))
                && before.is_none_or(|before| value.is_some_and(|value| value < starts_at(before)))
        };
        let finished = matches!(task.status, Status::Done | Status::Cancelled);
        let occurs = |word: &String| {
            let word = fold_text(word);
            let texts = task.tags.iter().chain([&task.title]).chain(&task.description);
            texts.into_iter().any(|text| fold_text(text).contains(&word))
        };
        (self.statuses.is_empty() || self.statuses.contains(&task.status))
            && (self.priorities.is_empty() || self.priorities.contains(&task.priority))
            && self.tags.iter().all(|tag| task.tags.iter().any(|other| other == tag))
            && within(self.due, task.due.map(Due::starts_at))
            && within(self.created, Some(task.created_at))
            && within(self.updated, Some(task.updated_at))
            && within(self.completed, task.completed_at)
            && (!self.overdue || (!finished && task.due.is_some_and(|due| due.overdue_at() <= now)))
            && self.words.iter().all(occurs)
            && self.deleted == task.deleted_at.is_some()
    }

    fn compare(&self, a: &Task, b: &Task) -> Ordering {
        let directed = |ordering: Ordering| {
            if self.descending { ordering.reverse() } else { ordering }
        };
        let by_value = match self.sort {
            "created_at" => directed(a.created_at.cmp(&b.created_at)),
            "updated_at" => directed(a.updated_at.cmp(&b.updated_at)),
            "priority" => directed(a.priority.cmp(&b.priority)),
            "title" => directed(fold_text(&a.title).cmp(&fold_text(&b.title))),
            _ => match (a.due, b.due) {
                (Some(a), Some(b)) => directed(a.starts_at().cmp(&b.starts_at())),
                (a, b) => a.is_none().cmp(&b.is_none()),
            },
        };
        by_value.then_with(|| directed(a.id.cmp(&b.id)))
    }
}

fn names<T: Serialize>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()).collect()
}

async fn check(
    database: &Database,
    role: &TestRole,
    tasks: Vec<Task>,
    queries: &[Query],
) -> Result<(), TestCaseError> {
    // Every case has a new person, so the tasks of earlier cases are in between.
    let me = user();
    let tasks: Vec<Task> = tasks.into_iter().map(|task| Task { owner: me, ..task }).collect();
    insert(database, &tasks).await;
    for query in queries {
        let mut expected: Vec<&Task> =
            tasks.iter().filter(|task| query.matches(task, NOW.parse().unwrap())).collect();
        expected.sort_by(|a, b| query.compare(a, b));
        let expected: Vec<_> = expected.into_iter().map(api_types::Task::from).collect();
        let expected = serde_json::to_value(&expected).unwrap();

        let path = query.path();
        let (mut items, mut next) = (Vec::new(), path.clone());
        loop {
            let answer = role.get(me, &next).await;
            prop_assert_eq!(answer.status.as_u16(), 200, "{}", next);
            // Rows are written directly, and must have the same JSON as the type of the contract.
            let shown: TaskPage = serde_json::from_slice(&answer.bytes).unwrap();
            prop_assert_eq!(serde_json::to_string(&shown).unwrap(), String::from_utf8_lossy(&answer.bytes));
            let mut page = answer.json();
            let found = page["items"].as_array_mut().unwrap();
            prop_assert!(found.len() <= query.limit);
            items.append(found);
            prop_assert_eq!(&page["total"], expected.as_array().unwrap().len(), "{}", path);
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}&cursor={cursor}"),
                None => break,
            }
            prop_assert!(items.len() <= tasks.len(), "the pages never end: {}", path);
        }
        prop_assert_eq!(serde_json::Value::from(items), expected, "{}", path);
    }
    Ok(())
}

async fn run(database: Database, cases: u32) {
    let role = TestRole::start(&database).await;
    role.set_clock(NOW.parse().unwrap());
    let runtime = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = tokio::task::block_in_place(|| {
        runner.run(&(tasks(), vec(query(), 6)), |(tasks, queries)| {
            runtime.block_on(check(&database, &role, tasks, &queries))
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging_is_filtering_and_sorting_sqlite() {
    on_sqlite(async |database| run(database, 64).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paging_is_filtering_and_sorting_postgres() {
    on_postgres(async |database| run(database, 64).await).await;
}
