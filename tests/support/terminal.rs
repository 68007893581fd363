//! A terminal, in which commands ask.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
};

use super::system::System;

/// Runs a command of the operator in a terminal, and returns it when it has asked something.
pub(crate) fn at_its_question(system: &System, arguments: &[&str]) -> Child {
    let tool = system.tool(arguments);
    let binary = tool.get_program().to_str().unwrap();
    let settings = tool.get_envs().filter_map(|(name, value)| Some((name, value?)));
    // `script` gives the command a terminal.
    let mut terminal = Command::new("script")
        .args(["-qec", &format!("exec '{binary}' {}", arguments.join(" ")), "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let screen = terminal.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"[y/N] ") {
        let mut byte = [0];
        let length = screen.read(&mut byte).unwrap();
        assert_eq!(length, 1, "it ended: {}", String::from_utf8_lossy(&seen));
        seen.extend(byte);
    }
    terminal
}
