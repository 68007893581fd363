//! Guessing passwords becomes slow, reveals nothing, and does not keep the owner out.

use std::time::Duration;

use super::{log_in, stranger};
use crate::support::{Deployment, PASSWORD, Person, System, until};

#[tokio::test]
async fn embedded_guesses_get_slow_and_keep_nobody_out() {
    guesses_get_slow_and_keep_nobody_out(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_get_slow_and_keep_nobody_out_on_postgres_and_rabbitmq() {
    guesses_get_slow_and_keep_nobody_out(Deployment::Servers).await;
}

/// Guesses at `email` until a guess comes too early. Returns the answers to the wrong guesses and how many were
/// checked. On a slow machine the first delays are over before the next guess comes, but they double.
async fn guess_until_refused(strangers: [&Person; 2], email: &str) -> (Vec<String>, usize) {
    let (mut said, mut judged) = (Vec::new(), 0);
    loop {
        let answer = log_in(strangers[judged % 2], email, "a wrong passphrase").await;
        let text = ["status", "title", "detail", "code"].map(|member| answer.body[member].to_string());
        if said.last() != Some(&text.concat()) {
            said.push(text.concat());
        }
        if answer.status == 429 {
            assert_eq!(answer.code(), "rate-limited");
            for header in ["retry-after", "ratelimit", "ratelimit-policy"] {
                assert!(!answer.header(header).is_empty(), "{header}");
            }
            return (said, judged);
        }
        answer.expect(401);
        judged += 1;
        assert!(judged < 20, "no guess comes too early");
    }
}

async fn guesses_get_slow_and_keep_nobody_out(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let (near, far) = (stranger(&system.base, [127, 0, 0, 2]), stranger(&system.base, [127, 0, 0, 3]));

    let strangers = [&near, &far];

    let (known, judged) = guess_until_refused(strangers, &ada.email).await;
    assert!(judged >= 5, "{judged}");
    let (unknown, judged) = guess_until_refused(strangers, "nobody@example.org").await;
    assert!(judged >= 5, "{judged}");
    assert_eq!(known, unknown, "nothing tells who has an account");

    ada.log_in().await;
    // The owner's login has reset the counter for these addresses, so they begin again.
    let (_, judged) = guess_until_refused(strangers, &ada.email).await;
    assert!(judged >= 5, "{judged}");
    until("the wait is over", Duration::from_secs(60), async || {
        log_in(&far, &ada.email, PASSWORD).await.status == 200
    })
    .await;
    system.stop().await;
}
