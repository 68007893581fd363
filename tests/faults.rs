//! Processes are killed, queues purged and connections cut under load. No acknowledged command is lost, and none
//! takes effect twice.

use std::time::Duration;

use serde_json::json;

use crate::support::{Deployment, Person, Role, System, Workload, until};

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_roles_under_load_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let workload = Workload::start(&system.base, 16).await;
    for role in [Role::Projector, Role::CommandApi, Role::Auth] {
        workload.progress(100).await;
        system.kill(role);
        if role == Role::Projector {
            // Reads of one's own writes wait for the projector, and everything else goes on without it.
            let ada = Person::join(&system.base, "ada").await;
            ada.post("/tasks", json!({"title": "Meanwhile"})).await.expect(201);
        }
        system.launch(role);
        system.ready().await;
    }
    workload.progress(100).await;
    workload.finish().await;
    system.read_models_equal_the_log().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_queues_and_cut_connections_under_load_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let workload = Workload::start(&system.base, 16).await;
    for _ in 0..3 {
        workload.progress(60).await;
        // A running projector takes every message at once, and a purge spares what it has taken.
        system.signal(Role::Projector.into(), "STOP");
        until("messages are lost", TIMEOUT, async || {
            let broker = system.broker.as_ref().unwrap();
            broker.purge_projector_queues().await.unwrap() > 0
        })
        .await;
        system.signal(Role::Projector.into(), "CONT");
        workload.progress(60).await;
        system.proxy.as_ref().unwrap().cut();
        system.ready().await;
    }
    workload.progress(60).await;
    workload.finish().await;
    system.read_models_equal_the_log().await;
    system.stop().await;
}
