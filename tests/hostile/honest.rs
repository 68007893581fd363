//! A well-behaved client, and the latency of its requests.

use std::{cell::Cell, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::attacker::Attack;
use crate::support::{Person, System};

/// Maximum number of requests of each round. They start at a fixed rate, even if earlier ones are not answered yet, so
/// that a pause of the server delays all that fall into it.
const REQUESTS: u32 = 100;
/// Maximum time over which the requests of a round are spread. A slow machine, where more time passes between two of
/// them, has fewer.
const ROUND: Duration = Duration::from_secs(5);
/// One request in so many opens a new connection.
const FRESH: u32 = 10;
/// Bounds of the time from the start of one request to that of the next, which is four times the latency of one alone.
const MIN_INTERVAL: Duration = Duration::from_millis(25);
const MAX_INTERVAL: Duration = Duration::from_millis(100);
/// Number of rounds before an attack. The slowest one shows the noise of the machine, on which tests run side by side.
const QUIET_ROUNDS: usize = 2;
/// Number of rounds during an attack, which together take longer than the server waits for the head of a request.
const ROUNDS: usize = 5;
/// Additional noise, since the machine may have been quieter before the attack.
const NOISE: Duration = Duration::from_millis(250);
/// Maximum time until any request is answered during an attack, and on a busy machine without one.
const MAX_WAIT: Duration = Duration::from_secs(5);
const MAX_QUIET_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at what the server has closed.
const GO_ON_INTERVAL: Duration = Duration::from_millis(500);
/// Held while a client is measured: two at once disturb each other little, more of them would.
static MEASURED: Semaphore = Semaphore::const_new(2);
/// Maximum memory of one process in bytes.
const MAX_MEMORY: u64 = 160 * 1024 * 1024;

/// A task with `characters` characters of four bytes each.
fn long(characters: usize) -> Value {
    json!({"title": "honest", "description": "\u{1F600}".repeat(characters)})
}

/// A well-behaved client, and its latency without an attack.
pub(super) struct Honest {
    person: Person,
    interval: Duration,
    before: Latency,
    _measured: SemaphorePermit<'static>,
}

/// The latency that 95 requests in a hundred do not exceed, and the longest.
#[derive(Default, Clone, Copy)]
struct Latency {
    p95: Duration,
    longest: Duration,
}

impl Latency {
    fn max(self, other: Self) -> Self {
        Self { p95: self.p95.max(other.p95), longest: self.longest.max(other.longest) }
    }

    /// Whether a client with this latency is not disturbed, if `without` is that without the attack.
    fn is_as_good_as(self, without: Self) -> bool {
        self.p95 <= without.p95 * 2 + NOISE && self.longest <= MAX_WAIT.max(without.longest * 2)
    }
}

impl Honest {
    pub(super) async fn before_the_attack(system: &System) -> Self {
        let measured = MEASURED.acquire().await.unwrap();
        // The server closes connections that are idle for long when their places are needed. Of several idle ones, the
        // client would at some time choose one that is being closed.
        let http = reqwest::Client::builder().pool_max_idle_per_host(1);
        let mut honest = Self {
            person: Person { http: http.build().unwrap(), ..Person::join(&system.base, "honest").await },
            interval: MIN_INTERVAL,
            before: Latency::default(),
            _measured: measured,
        };
        honest.person.post("/tasks", long(10_000)).await.expect(201);
        honest.person.post("/tasks", long(10_000)).await.expect(201);
        // The first requests include work that is done only once.
        honest.latency().await;
        let begun = Instant::now();
        for number in 0..REQUESTS / 4 {
            request(&honest.person, number).await;
        }
        honest.interval = (begun.elapsed() * 16 / REQUESTS).clamp(MIN_INTERVAL, MAX_INTERVAL);
        honest.before = honest.quiet().await;
        honest
    }

    /// Checks that every request succeeds within five seconds, that in most rounds the latency of 95 requests in a
    /// hundred is at most twice that without the attack, and that the process stays within its memory.
    pub(super) async fn is_not_disturbed(&self, name: &str, attack: &mut impl Attack, system: &System) {
        let mut attacked = self.during(attack).await;
        if !attacked.is_as_good_as(self.before) {
            // An attack that disturbs does so again, while noise of the machine seldom does.
            attacked = self.during(attack).await;
        }
        // The program's own pages are not counted, since a debug build has twice as many.
        let memory = system.memory("VmHWM").saturating_sub(system.memory("RssFile"));
        let mut without = self.before;
        if !attacked.is_as_good_as(without) {
            // Other work on this machine may have begun after the attack.
            attack.stop();
            without = without.max(self.quiet().await);
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let figures = format!(
            "{name}: p95 {:.1} ms, without {:.1} ms; longest {:.1} ms, without {:.1} ms; {} MiB at most",
            ms(attacked.p95),
            ms(without.p95),
            ms(attacked.longest),
            ms(without.longest),
            memory >> 20
        );
        eprintln!("{figures}");
        assert!(attacked.is_as_good_as(without), "{figures}");
        assert!(memory < MAX_MEMORY, "{name}: {memory} bytes");
        let ready = reqwest::get(format!("{}/health/live", system.admin())).await.unwrap();
        assert_eq!(ready.status(), 200, "{name}: the probe");
    }

    /// The latency of the median round during an attack, and the longest of all rounds.
    async fn during(&self, attack: &mut impl Attack) -> Latency {
        let is_measured = Cell::new(false);
        let measure = async {
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(self.latency().await);
            }
            is_measured.set(true);
            // Other tests of this machine may disturb a round, but not most of them; nobody may wait too long in any.
            rounds.sort_by_key(|round| round.p95);
            Latency {
                p95: rounds[ROUNDS / 2].p95,
                longest: rounds.iter().map(|round| round.longest).max().unwrap_or_default(),
            }
        };
        let go_on = async {
            while !is_measured.get() {
                attack.go_on().await;
                sleep(GO_ON_INTERVAL).await;
            }
        };
        let (latency, ()) = futures::join!(measure, go_on);
        latency
    }

    /// The address of the account that an attacker may try to log in to.
    pub(super) fn email(&self) -> &str {
        &self.person.email
    }

    /// Checks that the owner can log in from a familiar address.
    pub(super) async fn logs_in(&self) {
        self.person.clone().log_in().await;
    }

    /// The latency of the slowest of a few rounds without an attack.
    async fn quiet(&self) -> Latency {
        let mut slowest = Latency::default();
        for _ in 0..QUIET_ROUNDS {
            slowest = slowest.max(self.latency().await);
        }
        slowest
    }

    /// The latency of one round, for each request from the time at which it was to start. Every tenth request opens a
    /// new connection, and has to succeed on it.
    async fn latency(&self) -> Latency {
        let count = REQUESTS.min(ROUND.div_duration_f64(self.interval) as u32);
        let people: Vec<_> = (0..count)
            .map(|number| match number % FRESH {
                0 => Person { http: reqwest::Client::new(), ..self.person.clone() },
                _ => self.person.clone(),
            })
            .collect();
        let begin = Instant::now();
        let requests: FuturesUnordered<_> = (0..)
            .zip(people)
            .map(async |(number, person)| {
                let planned = begin + self.interval * number;
                sleep_until(planned).await;
                let answered = timeout_at(planned + MAX_QUIET_WAIT, request(&person, number)).await;
                assert!(answered.is_ok(), "not answered within {MAX_QUIET_WAIT:?}");
                planned.elapsed()
            })
            .collect();
        let mut took: Vec<_> = requests.collect().await;
        took.sort_unstable();
        Latency { p95: took[took.len() * 95 / 100], longest: took[took.len() - 1] }
    }
}

async fn request(person: &Person, number: u32) {
    let (method, path, body, status) = match number % 4 {
        0 => (Method::GET, "/tasks?limit=1", None, 200),
        1 => (Method::POST, "/tasks", Some(json!({"title": "honest"})), 201),
        // These answers have about 80 KB and 20 KB.
        2 => (Method::GET, "/tasks?sort=created_at&limit=2", None, 200),
        _ => (Method::POST, "/tasks", Some(long(5_000)), 201),
    };
    let sent = person.try_send(method.clone(), path, body.clone(), &[]).await;
    let answer = match sent {
        // The server may close an idle connection while a request is on its way, which browsers send again, too.
        Err(error) if error.is_request() && !error.is_connect() && !number.is_multiple_of(FRESH) => {
            let http = reqwest::Client::new();
            let again = Person { http, ..person.clone() };
            again.send(method, path, body).await
        }
        // On a busy machine it may be. The time of all attempts counts.
        Ok(answer) if answer.code() == "projection-behind" => person.send(method, path, body).await,
        sent => sent.unwrap(),
    };
    answer.expect(status);
}
