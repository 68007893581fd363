//! How many files and connections this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What a process needs beside the connections of its clients: databases, logs, connections to others.
const OWN: u64 = 256;

/// Raises the number of descriptors to what the system allows (the soft limit to the hard one), and says how many of them
/// clients may take.
pub fn raise() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
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
