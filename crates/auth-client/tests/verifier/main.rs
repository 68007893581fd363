//! The verifier over the bus within one process, with an auth that does what each test needs.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod checks;
mod faulty_bus;
mod fixture;
mod keys;
mod remembering;
#[path = "../signer/mod.rs"]
mod signer;
