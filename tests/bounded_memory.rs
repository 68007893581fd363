//! Many concurrent bodies that are small as sent and large as decoded values need memory only in proportion to the
//! bytes sent.

use std::{net::IpAddr, time::Duration};

use futures::future::join_all;
use reqwest::{Client, Method};

use crate::support::{Deployment, Person, System, until};

const AT_ONCE: usize = 32;
/// Number of people and of their addresses, since one alone may not have so many bytes in progress.
const PEOPLE: usize = 4;
const BODY: usize = 1 << 20;
/// Maximum growth of all processes together in bytes: the bodies, and twice their size.
const MAX_GROWTH: u64 = 100 * 1024 * 1024;

#[tokio::test]
async fn embedded_batches_of_tiny_values_take_little_memory() {
    batches_of_tiny_values_take_little_memory(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_tiny_values_take_little_memory_on_postgres_and_rabbitmq() {
    batches_of_tiny_values_take_little_memory(Deployment::Servers).await;
}

async fn batches_of_tiny_values_take_little_memory(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let address = [127, 0, 0, 2 + u8::try_from(number).unwrap()];
        let http = Client::builder().local_address(IpAddr::from(address)).build().unwrap();
        people.push((Person::join(&system.base, &format!("person{number}")).await, http));
    }
    let body = format!("{{\"commands\":[{}0]}}", "0,".repeat((BODY - 16) / 2));
    let send = async |(person, http): &(Person, Client)| {
        let request = http
            .request(Method::POST, format!("{}/tasks/batch", person.base))
            .bearer_auth(&person.token)
            .header("Content-Type", "application/json");
        request.body(body.clone()).send().await.unwrap().status()
    };
    // The first request makes everything that is made once.
    assert_eq!(send(&people[0]).await, 400);
    let before = system.memory("VmRSS");
    let answers = join_all((0..AT_ONCE).map(|number| send(&people[number % PEOPLE]))).await;
    assert!(answers.iter().all(|status| *status == 400), "{answers:?}");
    let growth = system.memory("VmHWM").saturating_sub(before);
    eprintln!("{AT_ONCE} bodies took {} KiB at most", growth / 1024);
    assert!(growth < MAX_GROWTH, "{growth} bytes");
    until("it serves", Duration::from_secs(20), async || people[0].0.get("/tasks").await.status == 200).await;
    system.stop().await;
}
