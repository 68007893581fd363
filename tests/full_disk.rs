//! The disk of an embedded server is full in the middle of load: readiness says so, nothing acknowledged is lost, and all
//! goes on when there is room again.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{Footing, Role, System, Workload, until};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn embedded_full_disk_under_load() {
    let mut system = System::start(Footing::Embedded).await;
    system.terminate(Role::Up);
    let Some(disk) = SmallDisk::mount(system.data_dir()) else {
        eprintln!("mounting is not allowed here: no disk is filled");
        return;
    };
    // With a new log, on the small disk.
    system.launch(Role::Up);
    system.ready().await;
    let workload = Workload::start(&system.base, 8).await;
    for _ in 0..3 {
        workload.progress(60).await;
        disk.fill();
        until("readiness says that the disk is full", PATIENCE, async || {
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

/// A file system of 32 MiB, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(at: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs"])
            .arg(&at)
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }

    fn ballast(&self) -> PathBuf {
        Path::join(&self.0, "ballast")
    }

    /// Takes every page that is left.
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
