//! Appending. The client leaves Nagle's algorithm on, so each call of its own waits some 40 ms for the server to
//! acknowledge the call's headers; in a session that stays open, an append is one small write and waits for
//! nothing. A session ends with the first append that is refused, and says neither why nor what became of the
//! others in it: all of them are sent again, each as a call of its own, which the server recognises by their ids.

use std::{sync::Arc, time::Duration};

use eventstore::{
    AppendToStreamOptions, BatchAppendClient, BatchAppendOptions, Client, Error, EventData, StreamState,
};
use tokio::{sync::Mutex, time::timeout};

use super::{LAST, connection::Connection};

/// The longest wait for an answer in a session; the client sets no limit.
const SESSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an append ended.
pub(super) struct Written {
    /// Of the last event.
    pub(super) revision: u64,
    /// Of the last event; unknown if it was there already and the server does not say.
    pub(super) position: Option<u64>,
}

/// The way to append.
pub(super) struct Writer {
    connection: Arc<Connection>,
    session: Mutex<Session>,
}

enum Session {
    Closed,
    Open(Arc<BatchAppendClient>),
    /// The server is too old for them.
    Unsupported,
}

impl Writer {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            session: Mutex::new(Session::Closed),
        }
    }

    /// Appends to the stream `name` of the server if it is at `expected_version`.
    pub(super) async fn append(
        &self,
        name: String,
        expected_version: u64,
        events: Vec<EventData>,
    ) -> Result<Written, Error> {
        let state = match expected_version {
            0 => StreamState::NoStream,
            version => StreamState::StreamRevision((version - 1).min(LAST - 1)),
        };
        match self.append_in_session(&name, state, &events).await {
            Some(written) => Ok(written),
            None => self.append_alone(name, state, events).await,
        }
    }

    /// Nothing means that the append may or may not have been done.
    async fn append_in_session(
        &self,
        name: &str,
        state: StreamState,
        events: &[EventData],
    ) -> Option<Written> {
        let session = self.session().await?;
        let append = session.append_to_stream(name, state, events.to_vec());
        let reason = match timeout(SESSION_TIMEOUT, append).await {
            Ok(Ok(done)) => {
                return Some(Written {
                    revision: done.current_revision()?,
                    position: known(done.current_position()),
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::debug!(reason, "a session of appends has ended");
        let mut current = self.session.lock().await;
        if matches!(&*current, Session::Open(open) if Arc::ptr_eq(open, &session)) {
            *current = Session::Closed;
        }
        None
    }

    /// The session that is open, or a new one.
    async fn session(&self) -> Option<Arc<BatchAppendClient>> {
        let mut current = self.session.lock().await;
        match &*current {
            Session::Open(session) => return Some(Arc::clone(session)),
            Session::Unsupported => return None,
            Session::Closed => {}
        }
        let (client, generation) = self.connection.client().await.ok()?;
        let options = BatchAppendOptions::default().requires_leader(true);
        match client.batch_append(&options).await {
            Ok(session) => {
                let session = Arc::new(session);
                *current = Session::Open(Arc::clone(&session));
                Some(session)
            }
            Err(error) => {
                if error.is_unsupported_feature() {
                    *current = Session::Unsupported;
                }
                self.connection.failed(generation, &error).await;
                None
            }
        }
    }

    async fn append_alone(
        &self,
        name: String,
        state: StreamState,
        events: Vec<EventData>,
    ) -> Result<Written, Error> {
        let options = AppendToStreamOptions::default()
            .stream_state(state)
            .requires_leader(true);
        let append = |client: Client| {
            let (name, options, events) = (name.clone(), options.clone(), events.clone());
            async move { client.append_to_stream(name, &options, events).await }
        };
        let written = self.connection.run(append).await?;
        Ok(Written {
            revision: written.next_expected_version,
            position: known(Some(written.position)),
        })
    }
}

fn known(position: Option<eventstore::Position>) -> Option<u64> {
    position
        .map(|position| position.commit)
        .filter(|commit| (1..=LAST).contains(commit))
}
