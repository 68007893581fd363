//! Starts the system as its users do, and acts as the people who use it.

#![expect(
    dead_code,
    unused_imports,
    reason = "shared by test targets that use different parts"
)]

mod authenticator;
mod broker;
mod deployment;
mod parking;
mod person;
mod proxy;
mod system;
mod workload;

pub(crate) use authenticator::totp_code;
pub(crate) use deployment::{Deployment, Replica, Role, amqp_url, binary, free_port, postgres_url};
pub(crate) use parking::park_a_later_event;
pub(crate) use person::{Answer, PASSWORD, Person};
pub(crate) use system::System;
pub(crate) use workload::{Workload, until};
