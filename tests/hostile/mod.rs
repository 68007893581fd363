//! Clients that mean harm, each beside one that does not: whoever asks honestly is answered about as fast as before, and no
//! process takes more than 200 MiB.
//!
//! Attackers come from addresses of their own within 127.0.0.0/8. What http-server refuses byte by byte is tried in its own
//! tests (`crates/http-server/tests/`), a million addresses in those of `crates/rate-limit`.

mod attacker;
mod connections;
mod honest;
mod logins;
mod memory;
