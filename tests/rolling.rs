//! Replicas are replaced one after the other under load. No request fails or has to be repeated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use crate::support::{Deployment, Person, Replica, Role, System, until};

/// Sends requests until `stop` is set. Every request has to succeed at the first attempt.
async fn work(person: Person, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let task = person.post("/tasks", json!({"title": "Go on"})).await.expect(201);
        let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
        person.patch(&path, json!({"priority": "high"})).await.expect(200);
        for path in [path.as_str(), "/tasks?overdue=true", "/auth/me"] {
            // On a busy machine the projection may take longer than a read waits for it by default.
            let read = person.try_send(Method::GET, path, None, &[("Prefer", "wait=10")]);
            read.await.unwrap().expect(200);
        }
        done.fetch_add(5, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_without_a_failed_request_on_postgres_and_rabbitmq() {
    let mut system = System::launched(Deployment::Servers, 2).await;
    system.ready().await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut workers = Vec::new();
    for number in 0..4 {
        let person = Person::join(&system.base, &format!("person{number}")).await;
        workers.push(tokio::spawn(work(person, Arc::clone(&stop), Arc::clone(&done))));
    }
    for role in [Role::CommandApi, Role::QueryApi, Role::Auth] {
        for number in 0..2 {
            let replica = Replica { role, number };
            let before = done.load(Ordering::Relaxed);
            assert_eq!(system.terminate(replica), Some(0), "{replica:?}");
            system.launch(replica);
            system.ready().await;
            // The other replica stops next, so the gateway has to know of this one.
            until("the gateway uses both", Duration::from_secs(30), async || {
                let page = system.admin_text(Role::Gateway.into(), "/metrics").await;
                let mut replicas = page
                    .lines()
                    .filter(|line| line.starts_with("taskledger_gateway_upstream_ready{"))
                    .peekable();
                replicas.peek().is_some() && replicas.all(|line| line.ends_with(" 1"))
            })
            .await;
            until("people went on working", Duration::from_secs(30), async || {
                done.load(Ordering::Relaxed) >= before + 20
            })
            .await;
            assert!(workers.iter().all(|worker| !worker.is_finished()), "{replica:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    system.stop().await;
}

/// How often a gateway is stopped until all of its last answers were seen.
const ATTEMPTS: usize = 5;

/// The status at a URL, or `None` if nobody answers there.
async fn status(url: String) -> Option<u16> {
    Some(reqwest::get(url).await.ok()?.status().as_u16())
}

/// The statuses of both probes and of a request while the gateway stops, or `None` if it ended before all were seen.
async fn last_answers(system: &System) -> Option<[u16; 3]> {
    let mut public = None;
    until("it says so, or has ended", Duration::from_secs(5), async || {
        public = status(format!("{}/health/ready", system.base)).await;
        public != Some(200)
    })
    .await;
    let admin = status(format!("{}/health/ready", system.admin())).await;
    let still = status(format!("{}/openapi.json", system.base)).await;
    Some([public?, admin?, still?])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_says_that_it_is_about_to_stop_while_it_still_answers_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let mut answers = None;
    // On a busy machine it may end before it was asked everything.
    for _ in 0..ATTEMPTS {
        for base in [system.base.clone(), system.admin()] {
            until("the gateway is ready", Duration::from_secs(30), async || {
                status(format!("{base}/health/ready")).await == Some(200)
            })
            .await;
        }
        system.signal(Role::Gateway.into(), "TERM");
        answers = last_answers(&system).await;
        assert_eq!(system.terminate(Role::Gateway), Some(0));
        if answers.is_some() {
            break;
        }
        system.launch(Role::Gateway);
    }
    assert_eq!(answers, Some([503, 503, 200]));
    system.stop().await;
}
