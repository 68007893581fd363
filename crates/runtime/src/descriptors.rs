//! The number of files and connections that this process may open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The descriptors that a process needs besides the connections of clients: databases, logs, connections to other
/// servers.
const OWN: u64 = 256;

/// Raises the soft limit of descriptors to the hard limit, and returns how many of them clients may use.
pub fn raise() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::warn!(error = %error, "cannot raise the number of descriptors"),
        }
    }
    let all = limit.current.unwrap_or(u64::MAX);
    usize::try_from(all.saturating_sub(OWN).max(all / 4)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_allowed_is_used() {
        let room = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(room > 0);
    }
}
