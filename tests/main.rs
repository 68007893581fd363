//! Tests of the running system from outside, with the real binary and real HTTP, in one process and on servers.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod access_log;
mod attacks;
mod audit;
mod audit_trail;
#[cfg(target_os = "linux")]
mod bounded_memory;
mod compose;
mod connections;
mod contract;
mod conventions;
mod damaged_rows;
mod deleted_files;
mod dropping;
mod erased_everywhere;
mod erasure;
mod every_endpoint;
mod faults;
mod foreign_witness;
mod forged_addresses;
mod full_disk;
mod hang_up;
mod history;
#[cfg(target_os = "linux")]
mod hostile;
mod interrupting;
mod isolation;
mod keys;
mod least_privilege;
mod limits;
mod long_log;
mod looking;
mod lost_files;
mod lost_keys;
mod lost_output;
mod monitoring;
mod moving;
mod moving_tasks;
mod one_bus;
mod operations;
mod operator;
mod program_tokens;
mod proxies;
mod random_pasts;
mod readme;
mod reasons;
mod reporting;
mod restored_erasures;
mod restored_log;
mod retention;
mod revert;
mod rolling;
mod sealed_events;
mod secrets;
mod security_log;
mod security_page;
mod start;
mod stopping;
mod strange_text;
mod support;
mod task_events;
mod tls;
mod tls_servers;
mod tour;
mod trace;
mod undo;
mod unread_logs;
mod whole_tables;
mod wrong_settings;
