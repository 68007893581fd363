//! The duration of a failed login reveals neither whether there is an account, nor the kind of its hash.

use std::time::{Duration, Instant};

use events::{AccountErased, AccountEvent, StreamName, UserId};

use crate::support::{App, PASSWORD, WRONG};

/// The number of samples of each kind. Every account allows four guesses without a delay.
const SAMPLES: usize = 16;
const GUESSES: usize = 4;
const ROUNDS: usize = 10;
/// A smaller difference of medians cannot be measured through a network with some thousand guesses.
const NOISE: Duration = Duration::from_millis(3);
/// A deviation that two samples of one distribution never have.
const NEVER: f64 = 4.0;
/// bcrypt with cost 8, of nobody's password.
const BCRYPT: &str = "$2b$08$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Today,
    WeakerHash,
    Imported,
    Erased,
    Unknown,
    NoAddress,
}

const KINDS: [Kind; 6] =
    [Kind::Today, Kind::WeakerHash, Kind::Imported, Kind::Erased, Kind::Unknown, Kind::NoAddress];

fn address(kind: Kind, number: usize) -> String {
    let at = if kind == Kind::NoAddress { "" } else { "@example.com" };
    format!("{kind:?}{number}{at}").to_lowercase()
}

async fn prepare(weak: &App, strong: &App, kind: Kind, number: usize) {
    let email = address(kind, number);
    let app = if kind == Kind::Today { strong } else { weak };
    if matches!(kind, Kind::Unknown | Kind::NoAddress) {
        return;
    }
    let id: UserId = app.register(&email).await.expect(201, "").text("/user/id").parse().unwrap();
    match kind {
        Kind::Imported => weak.write_password_hash(id, BCRYPT).await,
        Kind::Erased => {
            let erased = AccountEvent::from(AccountErased {}).encode();
            weak.append(&StreamName::account(id), id, [erased]).await;
        }
        Kind::Today | Kind::WeakerHash | Kind::Unknown | Kind::NoAddress => {}
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// By how many standard deviations the ranks of `one` among both differ from the mean (Mann and Whitney's U).
fn deviation(one: &[Duration], other: &[Duration]) -> f64 {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| f64::from(i8::from(a > b) * 2 - 1)));
    let u: f64 = pairs.sum::<f64>() / 2.0;
    let (n, m) = (one.len() as f64, other.len() as f64);
    u.abs() / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// One of the rounds must show no difference. A real difference shows in each; other load of the machine rarely shows
/// in all.
#[tokio::test]
async fn failed_logins_take_the_same_time_whatever_made_them_fail() {
    let weak = App::start().await;
    let strong = weak
        .replica(|config, _| {
            config.argon2.memory_kib = 8_192;
            config.failed_login_time = Duration::from_millis(120);
        })
        .await;
    let mut differences = Vec::new();
    for round in 0..ROUNDS {
        match difference(&weak, &strong, round * SAMPLES.div_ceil(GUESSES)).await {
            Some(difference) => differences.push(difference),
            None => break,
        }
    }
    assert!(differences.len() < ROUNDS, "{differences:#?}");
    strong.login(&address(Kind::Today, 0), PASSWORD).await.expect(200, "");
}

/// The difference between the kinds, measured on accounts with numbers from `first` on.
async fn difference(weak: &App, strong: &App, first: usize) -> Option<String> {
    for kind in KINDS {
        for number in 0..SAMPLES.div_ceil(GUESSES) {
            prepare(weak, strong, kind, first + number).await;
        }
    }
    let mut times = KINDS.map(|_| Vec::new());
    // The kinds take turns, so that other load meets all of them alike. The first samples warm up.
    for sample in 0..SAMPLES {
        for (kind, times) in KINDS.into_iter().zip(&mut times) {
            let begun = Instant::now();
            let answer = strong.login(&address(kind, first + sample / GUESSES), WRONG).await;
            let took = begun.elapsed();
            answer.expect(401, "bad-credentials");
            if sample > 0 {
                times.push(took);
            }
        }
    }
    let medians: Vec<_> = KINDS.into_iter().zip(&times).map(|(kind, times)| (kind, median(times))).collect();
    let told = KINDS.into_iter().zip(&times).find(|(_, one)| {
        times
            .iter()
            .any(|other| median(one).abs_diff(median(other)) >= NOISE && deviation(one, other) >= NEVER)
    });
    told.map(|(kind, _)| format!("{kind:?} can be told by its time: {medians:?}"))
}
