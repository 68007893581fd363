//! What operators do, for the audit trail: every command that changes something is recorded by [`Attribution::record`], with who
//! gives it and why.

use std::{process::ExitCode, time::Duration};

use ::events::{
    Actor, CorrelationId, EmailAddress, EventId, Metadata, NewEvent, OperationEvent, OperationFinished,
    OperationId, OperationOutcome, OperationStarted, StreamName, UserId, line,
};
use anyhow::Context as _;
use clap::Args;
use event_store::{EventStore, StoreError};
use runtime::{Backoff, new_id, system_user};

use crate::platform;

/// The most characters of a name, and of a reason.
const LONGEST_NAME: usize = 100;
const LONGEST_REASON: usize = 500;
/// So often the end of a command is tried to be recorded.
const TRIES: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));

/// Who gives a command that changes something, and why.
#[derive(Debug, Clone, Args)]
pub(crate) struct Attribution {
    /// Who you are, for the audit trail; by default the user who called sudo, or the one who runs this
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
    /// Why, for the audit trail, such as the number of a ticket. It is kept for ever, also when a person is erased
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

fn name(text: &str) -> Result<String, String> {
    line(text, LONGEST_NAME).map_err(|error| error.to_string())
}

fn reason(text: &str) -> Result<String, String> {
    let reason = line(text, LONGEST_REASON).map_err(|error| error.to_string())?;
    let mut words = reason.split(|c: char| c.is_whitespace() || "<>()[]\"',;:".contains(c));
    if words.any(|word| EmailAddress::parse(word.trim_end_matches('.')).is_ok()) {
        return Err(
            "must not hold an e-mail address, since it is kept for ever: name a ticket instead".to_owned(),
        );
    }
    Ok(reason)
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Conclusion {
    outcome: OperationOutcome,
    result: Option<String>,
}

impl Conclusion {
    /// All of it was done.
    pub(crate) const fn succeeded() -> Self {
        Self {
            outcome: OperationOutcome::Succeeded,
            result: None,
        }
    }

    /// Something of it was not done; the operator has been told why.
    pub(crate) const fn failed() -> Self {
        Self {
            outcome: OperationOutcome::Failed,
            result: None,
        }
    }

    /// What came of it, which may name no person.
    pub(crate) fn with_result(mut self, result: impl Into<String>) -> Self {
        self.result = Some(result.into());
        self
    }

    pub(crate) const fn exit_code(&self) -> ExitCode {
        match self.outcome {
            OperationOutcome::Succeeded => ExitCode::SUCCESS,
            OperationOutcome::Failed => ExitCode::FAILURE,
        }
    }
}

impl Attribution {
    /// Records that `command` is given, about `subject`, then lets `act` do it, and records how it ended. When the first cannot
    /// be recorded, nothing is done. `act` gets what all events of the command have as their correlation id.
    pub(crate) async fn record(
        &self,
        store: &dyn EventStore,
        command: &str,
        subject: UserId,
        act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
    ) -> anyhow::Result<ExitCode> {
        let stream = Stream {
            id: OperationId(new_id()),
            subject,
        };
        let by = self.by.clone().or_else(|| name(&system_user()).ok());
        let started = OperationStarted {
            command: command.into(),
            by: by.as_deref().unwrap_or("unknown").into(),
            reason: self.reason.as_deref().map(Into::into),
        };
        let recorded = stream.append(store, 0, &started.into()).await;
        recorded.context("nothing was done, since it cannot be recorded")?;
        let concluded = act(stream.correlation_id()).await;
        let finished = match &concluded {
            Ok(conclusion) => OperationFinished {
                outcome: conclusion.outcome,
                result: conclusion.result.as_deref().map(Into::into),
            },
            // What an error says may name a person.
            Err(_) => OperationFinished {
                outcome: OperationOutcome::Failed,
                result: None,
            },
        };
        if let Err(error) = stream.finish(store, &finished.into()).await {
            crate::complain(&format!("it is not recorded how this ended: {error}"));
        }
        concluded.map(|conclusion| conclusion.exit_code())
    }
}

/// The stream of one command.
struct Stream {
    id: OperationId,
    subject: UserId,
}

impl Stream {
    fn correlation_id(&self) -> CorrelationId {
        self.id.to_string().into()
    }

    async fn append(
        &self,
        store: &dyn EventStore,
        expected_version: u64,
        event: &OperationEvent,
    ) -> Result<(), StoreError> {
        let encoded = event.encode();
        let event = NewEvent {
            id: EventId(new_id()),
            kind: encoded.kind.to_owned(),
            schema_version: encoded.schema_version,
            encoding: encoded.encoding,
            data: encoded.data,
            metadata: Metadata {
                subject: self.subject,
                actor: Actor::Operator,
                correlation_id: self.correlation_id(),
                causation_id: self.id.0,
                traceparent: None,
                idempotency_key: None,
            },
            recorded_at: platform::clock().now(),
        };
        let stream = StreamName::operation(self.id);
        store
            .append(&stream, expected_version, vec![event])
            .await
            .map(drop)
    }

    /// Records the end, with some patience, since what was done cannot be taken back.
    async fn finish(&self, store: &dyn EventStore, event: &OperationEvent) -> Result<(), StoreError> {
        let mut backoff = BACKOFF;
        let mut tries = 1;
        loop {
            match self.append(store, 1, event).await {
                Err(StoreError::Unavailable(_)) if tries < TRIES => backoff.wait().await,
                // An earlier try has arrived.
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
    fn a_reason_is_one_line_and_names_no_address() {
        assert_eq!(reason(" Ticket 4711 "), Ok("Ticket 4711".to_owned()));
        assert!(reason("as asked @ 10:30").is_ok());
        for bad in [
            "",
            "two\nlines",
            "\u{202e}dekcit",
            "ada@example.com asked",
            "asked by <ada@example.com>.",
            &"x".repeat(LONGEST_REASON + 1),
        ] {
            assert!(reason(bad).is_err(), "{bad}");
        }
        assert!(
            name("ada@example.com").is_ok(),
            "an operator may be known by an address"
        );
        assert!(name("a\tb").is_err());
    }
}
