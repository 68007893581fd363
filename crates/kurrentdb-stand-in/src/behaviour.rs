//! How the server behaves, in what servers differ.

use std::time::Duration;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Streams of one connection at a time.
    pub most_streams: u32,
    /// Between writing and indexing passes a random time up to this.
    pub longest_indexing: Duration,
    /// What a flush of the disk takes.
    pub disk: Duration,
    /// After it, an append that was dropped is answered.
    pub write_timeout: Duration,
    /// What a filtered read pays for each event.
    pub examining: Duration,
    pub max_append_bytes: usize,
    /// Whether it says `InvalidPosition` of a read from where no record begins, and not `Error` as of everything that goes
    /// wrong. Versions up to 23.10 do not.
    pub names_invalid_positions: bool,
    /// Whether events of a stream come with their positions. Versions before 22.6 leave them out.
    pub says_positions: bool,
    /// The name and password that callers need.
    pub user: Option<(String, String)>,
    /// A certificate and its key, in PEM.
    pub tls: Option<(String, String)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            most_streams: 100,
            longest_indexing: Duration::from_millis(20),
            disk: Duration::ZERO,
            write_timeout: Duration::from_secs(2),
            examining: Duration::from_micros(8),
            max_append_bytes: 1 << 20,
            names_invalid_positions: true,
            says_positions: true,
            user: None,
            tls: None,
        }
    }
}
