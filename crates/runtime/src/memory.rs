//! The memory of this process: what it uses, its limit, and what it gives back.

use std::{
    fs,
    hint::black_box,
    io,
    path::Path,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{Rounds, process_metrics};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(250);
/// In how many of these rounds one gives memory back that nobody needs any more: every two seconds.
const GIVING_BACK: u32 = 8;
/// Memory is short above nine tenths of the limit, until it is below eight tenths.
const SHORT: (u64, u64) = (9, 8);

/// Calls `short` whenever memory in use gets short, and whenever it is no longer short, until `stop` is cancelled.
/// `limit` is in bytes. `None` means the limit of the control group, for example of a container, or of the machine.
/// Returns at once if no limit is known. `taskledger_memory_short` shows the same.
pub async fn watch(limit: Option<u64>, short: impl Fn(bool) + Send, stop: CancellationToken) {
    let shown = process_metrics().gauge(
        "taskledger_memory_short",
        "Whether this process has nearly as much memory as it may have, so that it refuses requests.",
    );
    let Some(limit) = limit.or_else(of_group).or_else(of_machine) else {
        return;
    };
    let mut is_short = false;
    let mut rounds = Rounds::every(INTERVAL, stop);
    for round in (0..GIVING_BACK).cycle() {
        if !rounds.next().await {
            return;
        }
        if round == 0 {
            // Nobody waits for it. Without it, a process that is at rest would keep what it needed when it was busiest.
            drop(short_lived_thread());
        }
        let Some(mut taken) = taken() else { return };
        if is_above(taken, SHORT.1, limit) {
            give_back().await;
            taken = self::taken().unwrap_or(taken);
        }
        let tenths = if is_short { SHORT.1 } else { SHORT.0 };
        let now = is_above(taken, tenths, limit);
        if now != is_short {
            is_short = now;
            short(now);
            shown.set(i64::from(now));
            let (taken_mib, limit_mib) = (taken >> 20, limit >> 20);
            match now {
                true => tracing::warn!(taken_mib, limit_mib, "memory is short: requests are refused"),
                false => tracing::info!(taken_mib, limit_mib, "memory is no longer short"),
            }
        }
    }
}

fn is_above(taken: u64, tenths: u64, limit: u64) -> bool {
    taken / 10 >= limit / 100 * tenths
}

/// Lets the allocator return memory that is free to the system. mimalloc keeps it while nobody allocates, for however
/// long, and returns what has been free for a second when a thread ends that has allocated something.
async fn give_back() {
    let _ = spawn_blocking(|| short_lived_thread().map(JoinHandle::join)).await;
}

/// A thread that has allocated something and ends. Without one everything stays as it is, and the next round tries
/// again.
fn short_lived_thread() -> io::Result<JoinHandle<()>> {
    thread::Builder::new().spawn(|| drop(black_box(Box::new(0_u8))))
}

/// The memory that this process uses now, in bytes.
fn taken() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib(&status, "VmRSS:")
}

/// What the control group of this process and those above it allow.
fn of_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of_groups(&groups, Path::new("/sys/fs/cgroup"))
        .filter(|limit| of_machine().is_none_or(|all| *limit < all))
}

/// The lowest limit of `groups` (cgroups(7), of version 2 or 1), whose files are below `root`. A container sees its own
/// group at the root, whatever the group's name is.
fn limit_of_groups(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let group = top.join(group.trim_start_matches('/'));
        let above = group.ancestors().take_while(|directory| directory.starts_with(&top));
        let limit = |directory: &Path| fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok();
        above.filter_map(limit).collect()
    });
    limits.min()
}

fn of_machine() -> Option<u64> {
    kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::encode_process_metrics;

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn it_is_told_when_memory_is_short_and_only_then() {
        for (limit, expected) in [(Some(1 << 20), vec![true]), (Some(u64::MAX), vec![]), (None, vec![])] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let hears = Arc::clone(&told);
            let hear = move |short| hears.lock().unwrap().push(short);
            let watching = watch(limit, hear, CancellationToken::new());
            let _ = tokio::time::timeout(INTERVAL * 10, watching).await;
            assert_eq!(*told.lock().unwrap(), expected, "{limit:?}");
            let shown = encode_process_metrics("test").contains("taskledger_memory_short{role=\"test\"} 1\n");
            assert!(shown || expected.is_empty());
        }
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |directory: &str, file: &str, limit: &str| {
            let directory = root.path().join(directory);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(file), limit).unwrap();
        };
        let limit = |groups| limit_of_groups(groups, root.path());
        write("system.slice/a.service", "memory.max", "512\n");
        write("system.slice/b.service", "memory.max", "max\n");
        write("system.slice/c.service", "memory.max", "4096\n");
        write("system.slice", "memory.max", "2048\n");
        write("memory", "memory.limit_in_bytes", "1024\n");
        for (groups, expected) in [
            ("0::/system.slice/a.service\n", Some(512)),
            ("0::/system.slice/b.service\n", Some(2_048)),
            ("0::/system.slice/c.service\n", Some(2_048)),
            ("0::/elsewhere\n", None),
            ("0::/\n", None),
            ("12:pids:/x\n11:cpu,memory:/docker/1\n", Some(1_024)),
        ] {
            assert_eq!(limit(groups), expected, "{groups}");
        }
        // A container, whose own group is at the root.
        write("", "memory.max", "256\n");
        assert_eq!(limit("0::/\n"), Some(256));
        assert_eq!(limit("0::/docker/1\n"), Some(256));
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(kib("A:\t1 kB\nVmRSS:\t   12345 kB\n", "VmRSS:"), Some(12_345 * 1024));
        assert_eq!(kib("", "VmRSS:"), None);
    }
}
