//! Attackers beside a well-behaved client, which is answered about as fast as without them, and no process takes more
//! than 200 MiB.
//!
//! Attackers use addresses of their own within 127.0.0.0/8. Tests of single requests that http-server refuses are in
//! `crates/http-server/tests/`, and tests with a million addresses in `crates/rate-limit`.

mod attacker;
mod connections;
mod honest;
mod logins;
mod memory;
