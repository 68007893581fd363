//! The kinds of deployments and processes, and the binary, ports and servers that they use.

use std::{
    net::TcpListener,
    ops::Range,
    process::{Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

/// The stores and servers of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    Embedded,
    Servers,
    /// PostgreSQL and RabbitMQ, with the log in a stand-in for a cluster of KurrentDB.
    KurrentDb,
}

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Up,
    Gateway,
    CommandApi,
    QueryApi,
    Auth,
    Projector,
}

impl Role {
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Gateway => "gateway",
            Self::CommandApi => "command-api",
            Self::QueryApi => "query-api",
            Self::Auth => "auth",
            Self::Projector => "projector",
        }
    }
}

/// A process of a role, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Replica {
    pub(crate) role: Role,
    pub(crate) number: usize,
}

impl From<Role> for Replica {
    fn from(role: Role) -> Self {
        Self { role, number: 0 }
    }
}

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskledger"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub(super) fn binary_with_descriptors(count: u32) -> Command {
    let mut command = Command::new("/bin/sh");
    command.env_clear().stdin(Stdio::null());
    let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_taskledger")]);
    command
}

/// A free port that no other test in this process gets. Outgoing connections use ports above 32,768.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: Range<u16> = 20_000..32_000;
    let first = (std::process::id() % 100) as u16 * 100;
    loop {
        let offset = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
