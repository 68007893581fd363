//! Starts the system as its users do, and acts as the people who use it.

#![expect(dead_code, unused_imports, reason = "shared by test targets that use different parts")]

mod at_once;
mod authenticator;
mod broker;
mod deployment;
mod hang_up;
mod parking;
mod person;
mod proxy;
mod small_disk;
mod system;
mod terminal;
mod workload;

pub(crate) use at_once::at_once;
pub(crate) use authenticator::totp_code;
pub(crate) use deployment::{Deployment, Replica, Role, binary, free_port};
pub(crate) use parking::park_a_later_event;
pub(crate) use person::{Answer, PASSWORD, Person};
pub(crate) use small_disk::SmallDisk;
pub(crate) use system::System;
pub(crate) use terminal::at_its_question;
pub(crate) use test_support::{amqp_url, postgres_url, until};
pub(crate) use workload::Workload;
