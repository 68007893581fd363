//! Questions before something is done. A command that asks takes `--yes`, and no other one does.

use std::{
    io::{self, IsTerminal as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::{sync::oneshot, time::timeout};

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The answer that is given on the command line.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Confirmation {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Returns whether there is neither an answer nor somebody to ask.
    pub(crate) fn is_out_of_reach(self) -> bool {
        !self.yes && !io::stdin().is_terminal()
    }

    /// Asks in a terminal, also a script that was started from there. Any other script means what it says.
    pub(crate) async fn is_given(self, question: &str) -> anyhow::Result<bool> {
        Ok(self.yes || !io::stdin().is_terminal() || agreed(question).await?)
    }

    /// Does the same, and fails when the answer is a no.
    pub(crate) async fn ask(self, question: &str) -> anyhow::Result<()> {
        ensure!(self.is_given(question).await?, "nothing was changed");
        Ok(())
    }

    /// As [`Self::ask`], about what cannot be undone: a script has to say `--yes`.
    pub(crate) async fn require(self, question: &str) -> anyhow::Result<()> {
        ensure!(!self.is_out_of_reach(), "nothing was changed: there is nobody to ask, so say --yes");
        self.ask(question).await
    }
}

/// Asks on the terminal. No answer in time is a no: while a rebuild waits for one, nobody who was erased can be removed
/// from the files.
async fn agreed(question: &str) -> anyhow::Result<bool> {
    let mut out = io::stderr();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let (sender, receiver) = oneshot::channel();
    // A thread of its own, because the process does not wait for it at its end.
    thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        // After an interrupt nobody waits for the answer.
        let _ = sender.send(read.map(|_| answer));
    });
    is_yes(receiver).await
}

async fn is_yes(answer: oneshot::Receiver<io::Result<String>>) -> anyhow::Result<bool> {
    let Ok(answer) = timeout(ANSWER_TIMEOUT, answer).await else {
        crate::complain(&format!("no answer within {} s is a no", ANSWER_TIMEOUT.as_secs()));
        return Ok(false);
    };
    let answer = answer?.context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_answers_ends_as_a_no() {
        let (_kept, receiver) = oneshot::channel();
        assert!(!is_yes(receiver).await.unwrap());
        let (sender, receiver) = oneshot::channel();
        sender.send(Ok("Yes\n".to_owned())).unwrap();
        assert!(is_yes(receiver).await.unwrap());
    }
}
