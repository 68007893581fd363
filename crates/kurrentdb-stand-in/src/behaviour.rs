//! The behaviour of the server, where versions differ.

use std::time::Duration;

/// The behaviour of the server.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The most streams of one connection at a time.
    pub most_streams: u32,
    /// The longest time between writing and indexing. The actual time is random.
    pub longest_indexing: Duration,
    /// The time of a flush to the disk.
    pub disk: Duration,
    /// The time after which a dropped append is answered.
    pub write_timeout: Duration,
    /// The time that a filtered read takes for each event.
    pub examining: Duration,
    pub max_append_bytes: usize,
    /// Whether a read from where no record begins is answered with `InvalidPosition` instead of the general `Error`.
    /// Versions up to 23.10 do not do this.
    pub names_invalid_positions: bool,
    /// Whether events of a stream have their positions. Versions before 22.6 leave them out.
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
