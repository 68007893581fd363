//! Whoever wants to get into the account of somebody else, from more addresses than any limit by address minds.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use serde_json::json;

use super::honest::Honest;
use crate::support::{Footing, Replica, Role, System, until};

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_one_account_from_addresses_without_number() {
    let mut system = System::start(Footing::Embedded).await;
    let up = Replica::from(Role::Up);
    let file = system.directory().join("gateway.toml");
    fs::write(&file, "trusted_proxies = [\"127.0.0.1\"]").unwrap();
    system.terminate(up);
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch(up);
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let (tries, refused, is_over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    let http = reqwest::Client::new();
    let body = json!({"email": honest.email(), "password": "not the owner's passphrase"});
    let spray = async || {
        while !is_over.load(Ordering::Relaxed) {
            let [_, a, b, c] = tries.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let asked = http.post(format!("{}/auth/login", system.base));
            let asked = asked.header("X-Forwarded-For", format!("100.{a}.{b}.{c}"));
            match asked.json(&body).send().await.unwrap().status().as_u16() {
                401 => {}
                429 => drop(refused.fetch_add(1, Ordering::Relaxed)),
                status => panic!("{status}"),
            }
        }
    };
    let watch = async {
        // No address is refused by itself: each comes once.
        until(
            "strangers are refused wherever they come from",
            Duration::from_secs(60),
            async || refused.load(Ordering::Relaxed) > 50,
        )
        .await;
        honest
            .is_not_disturbed("logins of their account from everywhere", &system)
            .await;
        honest.logs_in().await;
        is_over.store(true, Ordering::Relaxed);
    };
    futures::join!(spray(), spray(), spray(), spray(), watch);
    system.stop().await;
}
