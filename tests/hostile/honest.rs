//! A well-behaved client, and the latency of its requests.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Person, System};

/// Number of requests of each measurement.
const REQUESTS: usize = 100;
/// Number of measurements before an attack. The slowest shows the noise of the machine, on which tests run side by
/// side.
const QUIET_ROUNDS: usize = 3;
/// Maximum number of measurements during an attack. Noise comes and goes while the effect of an attack stays, so one
/// undisturbed measurement is enough.
const ROUNDS: usize = 10;
/// Additional noise, since the machine may have been quieter before the attack.
const NOISE: Duration = Duration::from_millis(100);
/// Maximum memory of one process in bytes.
const MOST_MEMORY: u64 = 160 * 1024 * 1024;

/// A task with `characters` characters of four bytes each.
fn long(characters: usize) -> Value {
    json!({"title": "honest", "description": "\u{1F600}".repeat(characters)})
}

/// A well-behaved client, and its latency without an attack.
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
        // The first requests include work that is done only once.
        honest.slowest().await;
        for _ in 0..QUIET_ROUNDS {
            honest.before = honest.before.max(honest.slowest().await);
        }
        honest
    }

    /// Checks that every request succeeds, that latency (apart from one request in a hundred) is at most twice that
    /// without the attack, and that the process stays within its memory.
    pub(super) async fn is_not_disturbed(&self, attack: &str, system: &System) {
        let mut now = self.slowest().await;
        for _ in 1..ROUNDS {
            if now <= self.before * 2 + NOISE {
                break;
            }
            now = self.slowest().await;
        }
        // The program's own pages are not counted, since a debug build has twice as many.
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

    /// The address of the account that an attacker may try to log in to.
    pub(super) fn email(&self) -> &str {
        &self.person.email
    }

    /// Checks that the owner can log in from a familiar address.
    pub(super) async fn logs_in(&self) {
        self.person.clone().log_in().await;
    }

    /// The 99th of a hundred latencies. Every tenth request opens a new connection.
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
                // These answers have about 80 KB and 20 KB.
                2 => person.get("/tasks?sort=created_at&limit=2").await.expect(200),
                _ => person.post("/tasks", long(5_000)).await.expect(201),
            };
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        took[REQUESTS - 2]
    }
}
