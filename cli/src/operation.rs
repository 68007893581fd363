//! Records in the audit trail what operators do. Every command that changes something goes through
//! [`Attribution::record`], which stores who gives it and why.

use std::{process::ExitCode, time::Duration};

use ::events::{
    Actor, CorrelationId, EventId, Metadata, OperationEvent, OperationFinished, OperationId,
    OperationOutcome, OperationStarted, StreamName, UserId, holds_address, line,
};
use anyhow::Context as _;
use clap::Args;
use event_store::{EventStore, StoreError};
use runtime::{Backoff, new_id, system_user};

use crate::{lost_log, platform, settings::Settings};

/// Maximum length of a name in characters.
const MAX_NAME: usize = 100;
const MAX_REASON: usize = 500;
/// Number of attempts to record the end of a command.
const TRIES: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));

/// The operator who gives a command, and the reason.
#[derive(Debug, Clone, Args)]
pub(crate) struct Attribution {
    /// Your name for the audit trail; by default the user who called sudo, or the one who runs this
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
    /// Reason for the audit trail, such as a ticket number. It is kept for ever, even when a person is erased
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

fn name(text: &str) -> Result<String, String> {
    line_without_address(text, MAX_NAME, "say the name that you are known by")
}

fn reason(text: &str) -> Result<String, String> {
    line_without_address(text, MAX_REASON, "name a ticket instead")
}

fn line_without_address(text: &str, max: usize, instead: &str) -> Result<String, String> {
    let text = line(text, max).map_err(|error| error.to_string())?;
    if holds_address(&text) {
        return Err(format!(
            "must not hold an e-mail address, since it is kept for ever, also when a person is erased: {instead}"
        ));
    }
    Ok(text)
}

/// The operating system's user who gives the command. If that name is an e-mail address, only its local part is
/// returned.
fn user_of_system() -> Option<String> {
    let user = system_user();
    name(&user).or_else(|_| name(user.split('@').next().unwrap_or_default())).ok()
}

#[derive(Debug)]
pub(crate) struct Conclusion {
    outcome: OperationOutcome,
    result: Option<String>,
    exit_code: ExitCode,
}

impl Conclusion {
    /// The command did all that was asked.
    pub(crate) const fn succeeded() -> Self {
        Self { outcome: OperationOutcome::Succeeded, result: None, exit_code: ExitCode::SUCCESS }
    }

    /// Something was not done, and the operator has been told why.
    pub(crate) const fn failed() -> Self {
        Self { outcome: OperationOutcome::Failed, result: None, exit_code: ExitCode::FAILURE }
    }

    /// The command did all that was asked if `is_done` is true, and failed otherwise.
    pub(crate) const fn of(is_done: bool) -> Self {
        match is_done {
            true => Self::succeeded(),
            false => Self::failed(),
        }
    }

    /// Adds a short result, which must not name a person.
    pub(crate) fn with_result(mut self, result: impl Into<String>) -> Self {
        self.result = Some(result.into());
        self
    }

    /// Lets the command end with another exit code than that of its outcome.
    pub(crate) const fn with_exit_code(mut self, exit_code: ExitCode) -> Self {
        self.exit_code = exit_code;
        self
    }

    pub(crate) const fn exit_code(&self) -> ExitCode {
        self.exit_code
    }
}

impl Attribution {
    /// Records that `command` is given, runs `act`, and records how it ended. If the first record cannot be written,
    /// `act` is not run. A log that is lost takes no record, since one would hide that it is lost. `act` receives the
    /// correlation id of all events of the command.
    pub(crate) async fn record(
        &self,
        settings: &Settings,
        store: &dyn EventStore,
        command: &str,
        act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
    ) -> anyhow::Result<ExitCode> {
        self.record_about(settings, store, command, UserId::NOBODY, act).await
    }

    /// Does what [`Self::record`] does, for a command about a person.
    pub(crate) async fn record_about(
        &self,
        settings: &Settings,
        store: &dyn EventStore,
        command: &str,
        subject: UserId,
        act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
    ) -> anyhow::Result<ExitCode> {
        lost_log::refuse_if_lost(settings, Some(store)).await?;
        let stream = Stream::new(subject);
        let recorded = stream.append(store, 0, &[self.started(command).into()]).await;
        recorded.map_err(not_recorded)?;
        let concluded = act(stream.correlation_id()).await;
        let finished = match &concluded {
            Ok(conclusion) => OperationFinished {
                outcome: conclusion.outcome,
                result: conclusion.result.as_deref().map(Into::into),
            },
            // The text of an error is not recorded, since it may name a person.
            Err(_) => OperationFinished { outcome: OperationOutcome::Failed, result: None },
        };
        if let Err(error) = stream.finish(store, &finished.into()).await {
            crate::complain(&format!("it is not recorded how this ended: {error}"));
        }
        concluded.map(|conclusion| conclusion.exit_code())
    }

    /// Does what [`Self::record`] does, unless `store` is empty or holds only a part of a log. Then only `act` runs,
    /// since a record must not become part of such a log.
    pub(crate) async fn record_if_there_is_a_log(
        &self,
        settings: &Settings,
        store: &dyn EventStore,
        command: &str,
        act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
    ) -> anyhow::Result<ExitCode> {
        if store.head().await? > 0 && store.unfinished_import().await?.is_none() {
            return self.record(settings, store, command, act).await;
        }
        Ok(act(CorrelationId::default()).await?.exit_code())
    }

    /// Records a successful command after it has run. It is for the command that creates the beginning of the log.
    pub(crate) async fn record_afterwards(
        &self,
        store: &dyn EventStore,
        command: &str,
        result: &str,
    ) -> anyhow::Result<()> {
        let finished =
            OperationFinished { outcome: OperationOutcome::Succeeded, result: Some(result.into()) };
        let events = [self.started(command).into(), finished.into()];
        let recorded = Stream::new(UserId::NOBODY).append(store, 0, &events).await;
        recorded.context("it was done, and cannot be recorded: give the command again")
    }

    fn started(&self, command: &str) -> OperationStarted {
        let by = self.by.clone().or_else(user_of_system);
        OperationStarted {
            command: command.into(),
            by: by.as_deref().unwrap_or("unknown").into(),
            reason: self.reason.as_deref().map(Into::into),
        }
    }
}

/// The error of a command whose beginning cannot be recorded.
fn not_recorded(error: StoreError) -> anyhow::Error {
    let sentence = match error.is_forbidden() {
        true => {
            "nothing was done, since it cannot be recorded by this user of the database: run it as the owner of the \
             tables or as the user of auth"
        }
        false => "nothing was done, since it cannot be recorded",
    };
    anyhow::Error::new(error).context(sentence)
}

/// The event stream of one command.
struct Stream {
    id: OperationId,
    subject: UserId,
}

impl Stream {
    fn new(subject: UserId) -> Self {
        Self { id: OperationId(new_id()), subject }
    }

    fn correlation_id(&self) -> CorrelationId {
        self.id.to_string().into()
    }

    async fn append(
        &self,
        store: &dyn EventStore,
        expected_version: u64,
        events: &[OperationEvent],
    ) -> Result<(), StoreError> {
        let encoded = |event: &OperationEvent| {
            event.encode().into_event(
                EventId(new_id()),
                Metadata {
                    subject: self.subject,
                    actor: Actor::Operator,
                    correlation_id: self.correlation_id(),
                    causation_id: self.id.0,
                    traceparent: None,
                    idempotency_key: None,
                },
                platform::clock().now(),
            )
        };
        let stream = StreamName::operation(self.id);
        let events = events.iter().map(encoded).collect();
        store.append(&stream, expected_version, events).await.map(drop)
    }

    /// Records the end, and retries, since what was done cannot be undone.
    async fn finish(&self, store: &dyn EventStore, event: &OperationEvent) -> Result<(), StoreError> {
        let mut backoff = BACKOFF;
        let mut tries = 1;
        loop {
            match self.append(store, 1, std::slice::from_ref(event)).await {
                Err(StoreError::Unavailable(_)) if tries < TRIES => backoff.wait().await,
                // An earlier attempt was stored although it seemed to fail.
                Err(StoreError::Conflict { actual: 2, .. }) => return Ok(()),
                ended => return ended,
            }
            tries += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_one_line_and_holds_no_address() {
        assert_eq!(reason(" Ticket 4711 "), Ok("Ticket 4711".to_owned()));
        assert_eq!(name("grace"), Ok("grace".to_owned()));
        assert!(reason("as asked @ 10:30").is_ok());
        for bad in [
            "",
            "two\nlines",
            "a\tb",
            "\u{202e}dekcit",
            "ada@example.com",
            "ada@example.com asked",
            "asked by <ada@example.com>.",
            "ada\u{ff20}example.com",
            "ada\u{fe6b}example.com asked",
            &"x".repeat(MAX_REASON + 1),
        ] {
            assert!(reason(bad).is_err() && name(bad).is_err(), "{bad}");
        }
    }
}
