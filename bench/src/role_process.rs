//! One process of the system.

use std::process::{Child, Command};

use anyhow::Context;

/// One process.
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) address: String,
    pub(crate) admin: String,
    pub(crate) command: Command,
    process: Option<Child>,
}

impl Role {
    pub(crate) fn new(name: &'static str, address: String, admin: String, command: Command) -> Self {
        Self { name, address, admin, command, process: None }
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let process = self.command.spawn();
        self.process = Some(process.with_context(|| format!("cannot start {}", self.name))?);
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            Command::new("kill").arg(process.id().to_string()).status()?;
            process.wait()?;
        }
        Ok(())
    }

    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        self.memory_in("VmRSS:")
    }

    /// Its share in MiB of the memory that all processes take: of a page that several processes share, its part.
    pub(crate) fn share_of_memory(&self) -> anyhow::Result<f64> {
        self.read("smaps_rollup", "Pss:")
    }

    /// The value in MiB of a field of `/proc/PID/status`.
    pub(crate) fn memory_in(&self, figure: &str) -> anyhow::Result<f64> {
        self.read("status", figure)
    }

    fn read(&self, file: &str, figure: &str) -> anyhow::Result<f64> {
        let process = self.process.as_ref().context("not running")?;
        let status = std::fs::read_to_string(format!("/proc/{}/{file}", process.id()))?;
        let kibibytes: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix(figure)?.trim().split(' ').next())
            .with_context(|| format!("no {figure}"))?
            .parse()?;
        Ok(kibibytes / 1_024.0)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
