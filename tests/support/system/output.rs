//! What commands of the binary print that are run with the settings of a system.

use super::System;

impl System {
    /// Runs a command, and returns its exit code and all that it prints.
    pub(crate) fn outcome(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.tool(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said + &errors)
    }

    /// Runs a command, which must succeed, and returns its output.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}\n{said}\n{errors}");
        said
    }
}
