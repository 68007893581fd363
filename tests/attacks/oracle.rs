//! Failed logins must not reveal who has an account or how its password was hashed, neither by their answers nor by
//! how long they take.

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use super::{log_in, restart_auth, stranger, text, with_token};
use crate::support::{Answer, Deployment, PASSWORD, Person, System};

/// A bcrypt hash with cost 6 of a password that nobody uses.
const BCRYPT: &str = "$2b$06$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";
/// Every account has four guesses without a delay.
const GUESSES: usize = 4;
const ACCOUNTS: usize = 2;
/// One of the rounds has to show no difference. A real difference shows in each, while noise of the machine seldom
/// shows in all.
const ROUNDS: usize = 3;
/// Differences of the second fastest guesses that a busy machine can cause, at least: they grow with what a guess takes
/// there, of which they can be a quarter. The hashes below differ by a multiple of both.
const NOISE: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread")]
async fn embedded_failed_logins_say_the_same_and_take_the_same_time() {
    failed_logins_say_the_same_and_take_the_same_time(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_say_the_same_and_take_the_same_time_on_postgres_and_rabbitmq() {
    failed_logins_say_the_same_and_take_the_same_time(Deployment::Servers).await;
}

/// The kinds of accounts and addresses that are guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Today,
    OlderHash,
    Imported,
    Disabled,
    Erased,
    Unknown,
    NoAddress,
}

const KINDS: [Kind; 7] = [
    Kind::Today,
    Kind::OlderHash,
    Kind::Imported,
    Kind::Disabled,
    Kind::Erased,
    Kind::Unknown,
    Kind::NoAddress,
];

fn address(kind: Kind, number: usize) -> String {
    let at = if kind == Kind::NoAddress { "" } else { "@example.org" };
    format!("{kind:?}{number}{at}").to_lowercase()
}

fn addresses(kind: Kind) -> impl Iterator<Item = String> {
    (0..ROUNDS * ACCOUNTS).map(move |number| address(kind, number))
}

/// Registers all accounts of this kind, and returns the id and a session of each.
async fn register(anybody: &Person, kind: Kind) -> Vec<(String, Person)> {
    let mut people = Vec::new();
    for email in addresses(kind) {
        let body = json!({"email": email, "password": PASSWORD});
        let registered = anybody.post("/auth/register", body).await.expect(201).body;
        let id = text(&registered["user"], "id");
        let entered = log_in(anybody, &email, PASSWORD).await.expect(200).body;
        people.push((id, with_token(anybody, text(&entered, "access_token"))));
    }
    people
}

/// Creates the accounts. The parameters of argon2 are raised in between.
async fn prepare(system: &mut System, deployment: Deployment) {
    let anybody = stranger(&system.base, [127, 0, 0, 1]);
    register(&anybody, Kind::OlderHash).await;
    for (_, person) in register(&anybody, Kind::Erased).await {
        let password = Some(json!({"password": PASSWORD}));
        person.send(Method::DELETE, "/auth/me", password).await.expect(204);
    }
    let root = system.join_admin().await;
    for (id, _) in register(&anybody, Kind::Disabled).await {
        root.post(&format!("/auth/users/{id}/disable"), json!({})).await.expect(200);
    }
    let file = system.directory().join("users.csv");
    let lines = addresses(Kind::Imported).map(|email| format!("{email},{BCRYPT}\n"));
    fs::write(&file, format!("email,password_hash\n{}", lines.collect::<String>())).unwrap();
    system.run(&["users", "import", file.to_str().unwrap()]);
    system.set("TASKLEDGER_ARGON2_PASSES", "8");
    restart_auth(system, deployment).await;
    register(&anybody, Kind::Today).await;
}

/// An answer without what differs in any two. Its rate limits are included if `tells_limits` is true: an invalid
/// address has no limit of its own, which its sender knows.
fn content(answer: &Answer, tells_limits: bool) -> String {
    let mut headers: Vec<_> = answer.headers.iter().collect();
    headers.retain(|(name, _)| match name.as_str() {
        "date" | "x-request-id" => false,
        "ratelimit" | "ratelimit-policy" => tells_limits,
        _ => true,
    });
    headers.sort_by_key(|(name, _)| name.as_str());
    let mut body = answer.body.clone();
    body["request_id"] = json!(null);
    format!("{} {headers:?} {body}", answer.status)
}

/// Guesses at every kind in turn, each time beginning with another one, so that noise of the machine and the common
/// time of failures, which follows it from guess to guess, affect all kinds alike. Returns the second fastest time of
/// each: one guess that happens to be fast must not hide that the others are slow.
async fn guess(guesser: &Person, round: usize) -> Vec<(Kind, Duration)> {
    let mut times = KINDS.map(|_| Vec::new());
    for sample in 0..ACCOUNTS * GUESSES {
        let mut said = Vec::new();
        for turn in 0..KINDS.len() {
            let place = (sample + turn) % KINDS.len();
            let kind = KINDS[place];
            let email = address(kind, round * ACCOUNTS + sample / GUESSES);
            let begun = Instant::now();
            let answer = log_in(guesser, &email, "a wrong passphrase").await;
            times[place].push(begun.elapsed());
            said.push((kind, answer.expect(401)));
        }
        let today = said.iter().find(|(kind, _)| *kind == Kind::Today);
        let today = &today.unwrap().1;
        for (kind, answer) in &said {
            let tells_limits = *kind != Kind::NoAddress;
            let [said, other] = [answer, today].map(|answer| content(answer, tells_limits));
            assert_eq!(said, other, "{kind:?} is told otherwise");
        }
    }
    let second_fastest = times.iter_mut().map(|times| {
        times.sort();
        times[1]
    });
    KINDS.into_iter().zip(second_fastest).collect()
}

async fn failed_logins_say_the_same_and_take_the_same_time(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    prepare(&mut system, deployment).await;
    let mut differences = Vec::new();
    for round in 0..ROUNDS {
        // Failures are counted for each client address, so every round has its own.
        let guesser = stranger(&system.base, [127, 0, 0, 2 + u8::try_from(round).unwrap()]);
        let guessed = guess(&guesser, round).await;
        let times = || guessed.iter().map(|(_, time)| *time);
        let (fastest, slowest) = (times().min().unwrap(), times().max().unwrap());
        if slowest - fastest < NOISE.max(fastest / 4) {
            break;
        }
        differences.push(guessed);
    }
    assert!(differences.len() < ROUNDS, "the time tells: {differences:#?}");

    // The answer says that an account is disabled only if the password is right.
    let owner = stranger(&system.base, [127, 0, 0, 1]);
    let refused = log_in(&owner, &address(Kind::Disabled, 0), PASSWORD).await;
    assert_eq!(refused.expect(403).code(), "account-disabled");
    system.stop().await;
}
