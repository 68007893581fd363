//! Sixty-four people work at once. Nobody ever sees another's tasks or acts as another.

use crate::support::{Deployment, System, Workload};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_people_at_once_never_see_each_other() {
    people_at_once(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_at_once_never_see_each_other_on_postgres_and_rabbitmq() {
    people_at_once(Deployment::Servers).await;
}

async fn people_at_once(deployment: Deployment) {
    let system = System::start(deployment).await;
    let workload = Workload::start(&system.base, 64).await;
    workload.progress(64 * 3 * 5).await;
    let commands = workload.finish().await;
    let report = system.read_models_equal_the_log().await;
    assert!(report.events >= commands as u64, "{report:?}");
    system.stop().await;
}
