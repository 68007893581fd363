//! The memory of this process: what it uses, and its limit.

use std::{fs, time::Duration};

/// How often it is checked.
const EVERY: Duration = Duration::from_millis(250);
/// Memory is short above nine tenths of the limit, until it is below eight tenths.
const SHORT: (u64, u64) = (9, 8);

/// Calls `short` whenever memory gets short, and whenever it is no longer short; never ends. `limit` is the limit in
/// bytes; without one, that of the control group (of a container, for example) or of the machine. Ends at once where
/// none of them is known.
pub async fn watch(limit: Option<u64>, short: impl Fn(bool) + Send) {
    let Some(limit) = limit.or_else(of_group).or_else(of_machine) else {
        return;
    };
    let mut is_short = false;
    loop {
        let Some(taken) = taken() else { return };
        let tenths = if is_short { SHORT.1 } else { SHORT.0 };
        let now = taken / 10 >= limit / 100 * tenths;
        if now != is_short {
            is_short = now;
            short(now);
            let (taken_mib, limit_mib) = (taken >> 20, limit >> 20);
            match now {
                true => tracing::warn!(taken_mib, limit_mib, "memory is short: requests are refused"),
                false => tracing::info!(taken_mib, limit_mib, "memory is no longer short"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The memory that this process uses now, in bytes.
fn taken() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib(&status, "VmRSS:")
}

/// The limit of the control group (version 2, or 1), in bytes.
fn of_group() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    limits
        .min()
        .filter(|limit| of_machine().is_none_or(|all| *limit < all))
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

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn it_is_told_when_memory_is_short_and_only_then() {
        for (limit, expected) in [
            (Some(1 << 20), vec![true]),
            (Some(u64::MAX), vec![]),
            (None, vec![]),
        ] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let hears = Arc::clone(&told);
            let watching = watch(limit, move |short| hears.lock().unwrap().push(short));
            let _ = tokio::time::timeout(EVERY * 10, watching).await;
            assert_eq!(*told.lock().unwrap(), expected, "{limit:?}");
        }
    }

    #[test]
    fn numbers_are_read() {
        assert_eq!(
            kib("A:\t1 kB\nVmRSS:\t   12345 kB\n", "VmRSS:"),
            Some(12_345 * 1024)
        );
        assert_eq!(kib("", "VmRSS:"), None);
    }
}
