//! The disk of an embedded server fills up under load. Readiness reports it, nothing acknowledged is lost, and work
//! goes on when there is space again.

use std::time::Duration;

use crate::support::{Deployment, SmallDisk, System, Workload, until};

const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_server_outlives_a_really_full_disk() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let disk = SmallDisk::mount(system.data_dir(), 32)
        .expect("mounting is not allowed here: leave this test out with `--skip really_full_disk`");
    system.launch_all();
    system.ready().await;
    let workload = Workload::start(&system.base, 8).await;
    for _ in 0..3 {
        workload.progress(60).await;
        disk.fill();
        until("readiness says that the disk is full", TIMEOUT, async || !system.is_ready().await).await;
        disk.make_room();
        system.ready().await;
    }
    workload.progress(60).await;
    workload.finish().await;
    system.read_models_equal_the_log().await;
    system.terminate_all();
    drop(disk);
    system.stop().await;
}
