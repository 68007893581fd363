//! The disk of an embedded server fills up under load. Readiness reports it, nothing acknowledged is lost, and work
//! goes on when there is space again.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{Deployment, Role, System, Workload, until};

const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_server_outlives_a_really_full_disk() {
    let mut system = System::start(Deployment::Embedded).await;
    system.terminate(Role::Up);
    let disk = SmallDisk::mount(system.data_dir());
    // The system begins with a new log on the small disk.
    system.launch(Role::Up);
    system.ready().await;
    let workload = Workload::start(&system.base, 8).await;
    for _ in 0..3 {
        workload.progress(60).await;
        disk.fill();
        until("readiness says that the disk is full", TIMEOUT, async || {
            !system.is_ready().await
        })
        .await;
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

/// A file system of 32 MiB, which is unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it. Where that is not allowed, `./test` skips this test and says so.
    fn mount(at: PathBuf) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs"])
            .arg(&at)
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "mounting is not allowed here: leave this test out with `--skip really_full_disk`"
        );
        Self(at)
    }

    fn ballast(&self) -> PathBuf {
        Path::join(&self.0, "ballast")
    }

    /// Fills the disk completely.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}
