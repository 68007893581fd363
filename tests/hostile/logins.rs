//! Attackers who guess somebody else's password from more addresses than address limits cover, or who try to keep
//! everybody out.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::{attacker::Attack, honest::Honest};
use crate::support::{Deployment, PASSWORD, Person, Role, System, until};

/// Number of passwords from unfamiliar addresses that can wait to be hashed.
const PLACES: usize = 512;
/// Number of addresses that fill these places, since none may have more than half of them.
const GREEDY_ADDRESSES: usize = 3;
const AT_ONCE: usize = 190;
const NEWCOMERS: usize = 4;
/// Time that a refused client waits, so that the test does not measure the refusals.
const PAUSE: Duration = Duration::from_millis(200);

/// A system whose gateway trusts this machine as a proxy, with a policy for anonymous clients.
async fn behind_a_proxy(policy: &str) -> System {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("gateway.toml");
    fs::write(&file, format!("trusted_proxies = [\"127.0.0.1\"]\n{policy}")).unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch_all();
    system.ready().await;
    system
}

/// The number of passwords that wait to be hashed.
async fn waiting(system: &System) -> usize {
    let metrics = system.admin_text(Role::Up.into(), "/metrics").await;
    let value = metrics.lines().find_map(|line| {
        // Other labels follow.
        let rest = line.strip_prefix("taskledger_auth_password_hashes{state=\"waiting\"")?;
        rest.rsplit_once(' ')?.1.parse().ok()
    });
    value.unwrap_or_default()
}

/// Sends a login as the client at `address`, and returns its status.
async fn ask(system: &System, http: &reqwest::Client, address: &str, path: &str, body: &Value) -> u16 {
    let asked = http.post(format!("{}{path}", system.base));
    let asked = asked.header("X-Forwarded-For", address).json(body);
    asked.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_addresses_that_fill_the_queue_of_passwords_keep_nobody_out() {
    let system = behind_a_proxy("[unauthenticated]\nrequests = 20000\nper_seconds = 1\n").await;
    let mut owner = Person::join(&system.base, "owner").await;
    let http = reqwest::Client::new();
    let (accounts, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let greedy = async |number: usize| {
        let address = format!("198.51.100.{}", number % GREEDY_ADDRESSES);
        while !is_over.load(Ordering::Relaxed) {
            // Each client uses accounts of its own whose passwords it knows, so that no failure delays it.
            let number = accounts.fetch_add(1, Ordering::Relaxed);
            let body = json!({"email": format!("greedy{number}@example.org"), "password": PASSWORD});
            for path in ["/auth/register", "/auth/login"] {
                match ask(&system, &http, &address, path, &body).await {
                    200 | 201 => {}
                    429 | 503 => {
                        tokio::time::sleep(PAUSE).await;
                        break;
                    }
                    status => panic!("{path}: {status}"),
                }
            }
        }
    };
    let watch = async {
        until("the queue is full", Duration::from_secs(60), async || waiting(&system).await >= PLACES).await;
        owner.log_in().await;
        let body = json!({"email": owner.email, "password": PASSWORD});
        for number in 0..NEWCOMERS {
            let address = format!("203.0.113.{number}");
            let status = ask(&system, &http, &address, "/auth/login", &body).await;
            assert_eq!(status, 200, "{address}");
            let waiting = waiting(&system).await;
            assert!(waiting > PLACES / 2, "{waiting} wait");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let crowd = futures::future::join_all((0..GREEDY_ADDRESSES * AT_ONCE).map(greedy));
    futures::join!(crowd, watch);
    system.stop().await;
}

/// The logins of clients that go on until this is set.
struct Spray<'a>(&'a AtomicBool);

impl Attack for Spray<'_> {
    async fn go_on(&mut self) {}

    fn stop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_one_account_from_addresses_without_number() {
    let system = behind_a_proxy("").await;
    let honest = Honest::before_the_attack(&system).await;
    let (tries, refused, is_over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    let http = reqwest::Client::new();
    let body = json!({"email": honest.email(), "password": "not the owner's passphrase"});
    let spray = async || {
        while !is_over.load(Ordering::Relaxed) {
            let [_, a, b, c] = tries.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let address = format!("100.{a}.{b}.{c}");
            match ask(&system, &http, &address, "/auth/login", &body).await {
                401 => {}
                429 => drop(refused.fetch_add(1, Ordering::Relaxed)),
                status => panic!("{status}"),
            }
        }
    };
    let watch = async {
        // No limit by address applies, since each address is used once.
        until("strangers are refused wherever they come from", Duration::from_secs(60), async || {
            refused.load(Ordering::Relaxed) > 50
        })
        .await;
        honest
            .is_not_disturbed("logins of their account from everywhere", &mut Spray(&is_over), &system)
            .await;
        honest.logs_in().await;
        is_over.store(true, Ordering::Relaxed);
    };
    futures::join!(spray(), spray(), spray(), spray(), watch);
    system.stop().await;
}
