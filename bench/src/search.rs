//! Measures what a search among many long tasks costs compared with a page without a search, and what it costs
//! others.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Args;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::Person,
    load::{self, Kind, NOT_CACHED, items},
    output::{print, verdict},
    outside_only,
    system::{Deployment, System},
};

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Tasks of the one who searches
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Characters of each description
    #[arg(long, default_value_t = 9_490)]
    characters: usize,
    /// Seconds for each figure
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Over PostgreSQL and RabbitMQ instead of SQLite files
    #[arg(long)]
    servers: bool,
}

/// The search texts, and whether tasks contain them.
const SEARCHES: [(&str, &str, bool); 9] = [
    ("a frequent word", "report", true),
    ("a frequent part of a word", "epo", true),
    ("a rare word", "needle7", true),
    ("a word that occurs nowhere", "nowhere", false),
    ("three characters, nowhere", "qzx", false),
    ("a frequent character", "e", true),
    ("a character that occurs nowhere", "%E8%AA%9E", false),
    ("sixteen characters", "a+b+c+d+e+f+g+h+i+k+l+m+n+o+p+r", true),
    ("all grams of a word, but not it", "reportreportrepork", false),
];

/// Number of concurrent searches of one person.
const SEARCHERS: usize = 16;
/// Maximum ratio of the cost of a search to that of a page without one.
const COST: f64 = 10.0;
const NEIGHBOUR: f64 = 3.0;
/// Number of tasks of the other person's list.
const LISTED: usize = 50;

const WORDS: [&str; 16] = [
    "report", "milk", "budget", "garden", "quarter", "window", "reports", "letter", "bicycle", "kitchen",
    "doctor", "fork", "paper", "holiday", "museum", "copy",
];

impl Search {
    pub(crate) async fn run(&self, binary: &Path) -> Result<()> {
        let deployment = if self.servers { Deployment::Servers } else { Deployment::Embedded };
        let system = System::start(deployment, binary).await?;
        let people = load::join(&system.front(), 2).await?;
        let started = Instant::now();
        self.fill(&people[0]).await?;
        load::give_tasks(&people[1..], LISTED).await?;
        print(&format!(
            "{} tasks of {} characters made and projected in {:.1} s",
            self.tasks,
            self.characters,
            started.elapsed().as_secs_f64()
        ));
        // With servers the reads go to the query API itself, and in one process past the gateway's cache.
        let address = match deployment {
            Deployment::Servers => system.address("query-api"),
            Deployment::Embedded => system.front(),
        };
        let people = load::at(&people, &address).await?;
        let (searcher, honest) = (&people[0], &people[1]);
        let page = self.median(searcher, "/tasks", true).await?;
        print(&format!("{:<40} {page:>10.2} ms", "a page without a search"));
        for (name, word, is_found) in SEARCHES {
            let search = self.median(searcher, &format!("/tasks?q={word}"), is_found).await?;
            print(&format!(
                "{name:<40} {search:>10.2} ms {:>6.2}  at most {COST}{}",
                search / page,
                verdict(search <= COST * page)
            ));
        }
        self.beside(&address, searcher, honest).await?;
        system.stop().await
    }

    /// Creates the tasks, and waits until the last one is visible.
    async fn fill(&self, person: &Person) -> Result<()> {
        let mut number = 0;
        while number < self.tasks {
            let commands: Vec<Value> = (number..self.tasks.min(number + 50))
                .map(|n| json!({"op": "create", "title": format!("Task {n}"), "description": self.description(n)}))
                .collect();
            number += commands.len();
            let body = json!({ "commands": commands });
            person.send(Method::POST, "/tasks/batch", Some(&body), &[]).await?;
        }
        let headers = [("Prefer", "wait=10")];
        person.send(Method::GET, "/tasks?limit=1", None, &headers).await?;
        Ok(())
    }

    /// Words in a random order. One description in a hundred ends with a rare word.
    fn description(&self, n: usize) -> String {
        let mut text = String::new();
        let mut state = n as u64;
        while text.len() < self.characters - 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(state >> 60) as usize]);
            text.push(' ');
        }
        if n % 100 == 7 {
            text.push_str("needle7");
        }
        text
    }

    /// The median in milliseconds of a read that finds tasks, or none.
    async fn median(&self, person: &Person, path: &str, is_found: bool) -> Result<f64> {
        let answer = person.send(Method::GET, path, None, &[NOT_CACHED]).await?;
        let found = items(&answer)?;
        ensure!((found > 0) == is_found, "{path} finds {found} tasks");
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < Duration::from_secs(self.seconds) {
            let started = Instant::now();
            person.send(Method::GET, path, None, &[NOT_CACHED]).await?;
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(crate::limits::median(times))
    }

    /// One person runs sixteen searches at a time, while another one reads a list.
    async fn beside(&self, address: &str, searcher: &Arc<Person>, honest: &Arc<Person>) -> Result<()> {
        let seconds = Duration::from_secs(2 * self.seconds);
        let honest = std::slice::from_ref(honest);
        let alone = load::run(honest, seconds, Kind::Lists).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let searching = search_until(stop.clone(), searcher.clone(), address.to_owned());
        let beside = load::run(honest, seconds, Kind::Lists).await?;
        stop.store(true, Ordering::Relaxed);
        let answers = searching.await??;
        ensure!(answers > 0, "no search was answered");
        print("");
        print(
            "another's list of 50               per second        p50        p95        p99        max  (ms)",
        );
        print(&alone.row("alone"));
        print(&beside.row("beside sixteen searches"));
        let ratio = beside.p99() / alone.p99();
        let verdict = verdict(ratio <= NEIGHBOUR);
        print(&format!(
            "p99 {ratio:.2} times  at most {NEIGHBOUR}{verdict}; {:.0} searches a second were answered",
            answers as f64 / seconds.as_secs_f64()
        ));
        Ok(())
    }
}

/// Runs sixteen searches at a time until `stop` is set, and returns how many were answered. They have a thread of their
/// own, because otherwise the other person's client would wait for the thread that reads their long answers.
fn search_until(
    stop: Arc<AtomicBool>,
    searcher: Arc<Person>,
    address: String,
) -> tokio::task::JoinHandle<Result<u64>> {
    tokio::task::spawn_blocking(move || {
        outside_only()?.block_on(async {
            let mut searchers = JoinSet::new();
            for searcher in load::at(&vec![searcher; SEARCHERS], &address).await? {
                let stop = stop.clone();
                searchers.spawn(async move {
                    let mut answers = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        for (_, word, _) in SEARCHES {
                            // Some searches may be refused as too many.
                            let search = searcher
                                .send(Method::GET, &format!("/tasks?q={word}"), None, &[NOT_CACHED])
                                .await;
                            answers += u64::from(search.is_ok());
                        }
                    }
                    answers
                });
            }
            Ok(searchers.join_all().await.into_iter().sum())
        })
    })
}
