//! Someone who only wants to work, and how long they wait for it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Person, System};

/// Requests of each measurement.
const REQUESTS: usize = 100;
/// Measurements before an attack. The slowest of them tells what the machine itself adds: tests run side by side on it.
const QUIET_ROUNDS: usize = 3;
/// Measurements during an attack, at most. What the machine adds comes and goes, what an attack does stays: one is enough in which the
/// honest client is not disturbed.
const ROUNDS: usize = 10;
/// What else the machine may add: it was quieter before, perhaps, than it is now.
const NOISE: Duration = Duration::from_millis(100);
/// What one process may take.
const MOST_MEMORY: u64 = 160 * 1024 * 1024;

/// A task of so many characters, of four bytes each.
fn long(characters: usize) -> Value {
    json!({"title": "honest", "description": "\u{1F600}".repeat(characters)})
}

/// An honest client, and the slowest of its answers while nobody attacked.
pub(super) struct Honest {
    person: Person,
    before: Duration,
}

impl Honest {
    pub(super) async fn before_the_attack(system: &System) -> Self {
        let mut honest = Self {
            person: Person::join(&system.base, "honest").await,
            before: Duration::ZERO,
        };
        honest.person.post("/tasks", long(10_000)).await.expect(201);
        honest.person.post("/tasks", long(10_000)).await.expect(201);
        // Who asks first waits for what is done once.
        honest.slowest().await;
        for _ in 0..QUIET_ROUNDS {
            honest.before = honest.before.max(honest.slowest().await);
        }
        honest
    }

    /// Every request is answered as ever, the slowest (but for one in a hundred) within twice the time, and the process keeps to
    /// its memory.
    pub(super) async fn is_not_disturbed(&self, attack: &str, system: &System) {
        let mut now = self.slowest().await;
        for _ in 1..ROUNDS {
            if now <= self.before * 2 + NOISE {
                break;
            }
            now = self.slowest().await;
        }
        // Without the pages of the program itself, of which a debug build has twice as many.
        let memory = system.memory("VmHWM").saturating_sub(system.memory("RssFile"));
        eprintln!(
            "{attack}: p99 {:.1} ms, before {:.1} ms; {} MiB at most",
            now.as_secs_f64() * 1e3,
            self.before.as_secs_f64() * 1e3,
            memory >> 20
        );
        assert!(
            now <= self.before * 2 + NOISE,
            "{attack}: {now:?}, before {:?}",
            self.before
        );
        assert!(memory < MOST_MEMORY, "{attack}: {memory} bytes");
        let ready = reqwest::get(format!("{}/health/live", system.admin()))
            .await
            .unwrap();
        assert_eq!(ready.status(), 200, "{attack}: the probe");
    }

    /// Whose account somebody else may try to get into.
    pub(super) fn email(&self) -> &str {
        &self.person.email
    }

    /// The owner gets in, from where they were before.
    pub(super) async fn logs_in(&self) {
        self.person.clone().log_in().await;
    }

    /// The 99th of a hundred, also of those who come newly: every tenth request has a connection of its own.
    async fn slowest(&self) -> Duration {
        let mut took = Vec::with_capacity(REQUESTS);
        for number in 0..REQUESTS {
            let person = match number % 10 {
                0 => Person {
                    http: reqwest::Client::new(),
                    ..self.person.clone()
                },
                _ => self.person.clone(),
            };
            let begun = Instant::now();
            match number % 4 {
                0 => person.get("/tasks?limit=1").await.expect(200),
                1 => person
                    .post("/tasks", json!({"title": "honest"}))
                    .await
                    .expect(201),
                // Some 80 KB, and 20 KB.
                2 => person.get("/tasks?sort=created_at&limit=2").await.expect(200),
                _ => person.post("/tasks", long(5_000)).await.expect(201),
            };
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        took[REQUESTS - 2]
    }
}
