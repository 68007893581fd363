//! Connections that ask nothing, or never finish asking.

use super::{attacker::Attacker, honest::Honest};
use crate::support::{Footing, Replica, Role, System};

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections() {
    let system = System::start(Footing::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attackers = Vec::new();
    for number in 1..=3 {
        let mut attacker = Attacker::new(&system.base, number);
        attacker.open(1_500, b"").await;
        attackers.push(attacker);
    }
    honest.is_not_disturbed("4,500 idle connections", &system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end() {
    let system = System::start(Footing::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attacker = Attacker::new(&system.base, 1);
    attacker
        .open(1_500, b"GET /tasks HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        .await;
    for _ in 0..3 {
        attacker.trickle(b"x").await;
        honest
            .is_not_disturbed("1,500 heads that never end", &system)
            .await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_descriptors() {
    let mut system = System::start(Footing::Embedded).await;
    let up = Replica::from(Role::Up);
    system.terminate(up);
    system.limit_descriptors(1_024);
    system.launch(up);
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attackers = Vec::new();
    for number in 1..=3 {
        let mut attacker = Attacker::new(&system.base, number);
        attacker.open(700, b"").await;
        attackers.push(attacker);
    }
    honest
        .is_not_disturbed("2,100 connections with 1,024 descriptors", &system)
        .await;
    let log = system.log_text(up);
    assert!(!log.contains("cannot accept a connection"), "out of descriptors");
    system.stop().await;
}
