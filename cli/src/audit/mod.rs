//! Proves that nothing in the log was changed, to the operator and to auditors who have only a public key.

mod check_proof;
mod input;
mod key;
mod log;
mod prove;
mod rotate_key;
mod verify;
mod verify_export;
mod witness;

use std::process::ExitCode;

use clap::Subcommand;

use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what happened, the oldest first, and with --follow what happens
    Log(log::Log),
    /// Show the public keys that sign the audit tree
    Key(key::Key),
    /// Make a new key beside those that sign the audit tree
    ///
    /// Run it where the projector's keys are.
    RotateKey(rotate_key::RotateKey),
    /// Compute the audit tree again and compare; exit code 1 if anything differs, with the first position that does
    ///
    /// Compares the log with every hash that was kept of it and with every checkpoint that was signed. May run beside a
    /// system at work. With --export it needs no system, but the public key and a checkpoint.
    Verify(verify::Verify),
    /// Prove that an event is in the log, for whoever has the public key (C2SP tlog-proof)
    Prove(prove::Prove),
    /// Check such a proof, without a system; exit code 1 if it does not hold
    CheckProof(check_proof::CheckProof),
    /// Run a witness, which cosigns the checkpoints of logs as long as they only grow (C2SP tlog-witness)
    Witness(witness::Witness),
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Log(command) => command.run(settings).await,
        Command::Key(command) => command.run(settings).await,
        Command::RotateKey(command) => command.run(settings).await,
        Command::Verify(command) => command.run(settings).await,
        Command::Prove(command) => command.run(settings).await,
        Command::CheckProof(command) => command.run(),
        Command::Witness(command) => command.run(settings).await,
    }
}
