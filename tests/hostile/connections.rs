//! Connections that send no request or never complete one.

use std::time::Duration;

use super::{
    attacker::{Attack as _, Attacker},
    honest::Honest,
};
use crate::support::{Deployment, Role, System, until};

/// A request that occupies a place until its body has arrived, which never happens.
const UNFINISHED: &[u8] =
    b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections() {
    let system = System::start(Deployment::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attackers = Vec::new();
    for number in 1..=3 {
        let mut attacker = Attacker::new(&system.base, number);
        assert_eq!(attacker.open(1_500, b"").await, 1_500);
        attackers.push(attacker);
    }
    honest.is_not_disturbed("4,500 idle connections", &mut attackers, &system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end() {
    let system = System::start(Deployment::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attacker = Attacker::new(&system.base, 1).trickling(b"x");
    let opened = attacker.open(1_500, b"GET /tasks HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    assert_eq!(opened, 1_500);
    honest.is_not_disturbed("1,500 heads that never end", &mut vec![attacker], &system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_descriptors() {
    let mut system = System::prepared(Deployment::Embedded).await;
    system.limit_descriptors(1_024);
    system.launch_all();
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attackers = Vec::new();
    for number in 1..=3 {
        let mut attacker = Attacker::new(&system.base, number);
        let opened = attacker.open(700, b"").await;
        assert!(opened > 300, "{opened} connections");
        attackers.push(attacker);
    }
    honest.is_not_disturbed("2,100 connections with 1,024 descriptors", &mut attackers, &system).await;
    let log = system.log_text(Role::Up.into());
    assert!(!log.contains("cannot accept a connection"), "out of descriptors");
    system.stop().await;
}

/// Incomplete bodies from anonymous clients, from more addresses than are needed to occupy all places.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_from_many_addresses_leave_places_to_those_who_are_known() {
    let mut system = System::prepared(Deployment::Embedded).await;
    // A quarter of the descriptors is for active requests, which is 512.
    system.limit_descriptors(2_048);
    system.launch_all();
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attackers = Vec::new();
    for number in 1..=3 {
        let mut attacker = Attacker::new(&system.base, number);
        let opened = attacker.open(250, UNFINISHED).await;
        assert!(opened > 150, "{opened} connections");
        attackers.push(attacker);
    }
    honest.is_not_disturbed("750 slow bodies for 512 places", &mut attackers, &system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_work_than_one_caller_may_have() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("gateway.toml");
    std::fs::write(&file, "in_flight_per_caller = 40\n").unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch_all();
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let mut attacker = Attacker::new(&system.base, 1);
    assert_eq!(attacker.open(40, UNFINISHED).await, 40);
    let mut late = Attacker::new(&system.base, 1);
    let refused = async |late: &mut Attacker| {
        late.connections.clear();
        late.open(1, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        late.statuses().await == [503]
    };
    until("the attacker has all that one caller may have", Duration::from_secs(20), async || {
        // The checking request itself may have taken the last place when the attack reached it.
        attacker.open(1, UNFINISHED).await;
        refused(&mut late).await
    })
    .await;
    let mut attackers = vec![attacker];
    honest.is_not_disturbed("40 requests at work, of 40 allowed", &mut attackers, &system).await;
    // Another address without a token has a limit of its own.
    let mut other = Attacker::new(&system.base, 2);
    other.open(1, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(other.statuses().await, [200]);
    // Clients that hang up no longer occupy a place.
    attackers.stop();
    until("there is room again", Duration::from_secs(20), async || !refused(&mut late).await).await;
    system.stop().await;
}
