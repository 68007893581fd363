//! One stream. It works only while its client reads, so that a slow client costs at most a page of memory; the server
//! disconnects a client that does not read.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use api_types::TaskEvent;
use auth_client::{Identity, VerifyError};
use database::{DatabaseError, Row};
use events::TaskId;
use futures::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    admission::Cost,
    app_state::App,
    stream_limits::Place,
    tasks::{self, ChangeToken, Follower},
};

/// How often a comment is sent to keep the connection alive, and the table is read without a signal.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is checked that the session is still live, so that a stream ends within a second of it. Usually the
/// answer is cached.
const CHECK: Duration = Duration::from_millis(500);

pub(super) struct EventStream {
    app: App,
    identity: Arc<Identity>,
    token: String,
    follower: Follower,
    /// The position up to which everything about the caller is projected.
    projected: watch::Receiver<u64>,
    /// The text to send before the first event.
    greeting: Option<String>,
    look: bool,
    /// Whether the last read failed.
    missed: bool,
    checked_at: Instant,
    heartbeat_at: Instant,
    _place: Place,
}

impl EventStream {
    pub(super) fn new(
        app: App,
        identity: Arc<Identity>,
        token: String,
        since: ChangeToken,
        place: Place,
    ) -> Self {
        let owner = identity.user_id;
        // An id without data: a client that loses the connection before the first event continues from here.
        let id = since.write(&app.cursor_key, owner);
        let now = Instant::now();
        Self {
            projected: app.projection.watch(owner),
            greeting: Some(format!("retry: 1000\nid: {id}\n\n")),
            follower: Follower::new(owner, since),
            app,
            identity,
            token,
            look: true,
            missed: false,
            checked_at: now,
            heartbeat_at: now + HEARTBEAT,
            _place: place,
        }
    }

    pub(super) fn into_bytes(self) -> impl Stream<Item = Result<String, Infallible>> + Send {
        stream::unfold(self, |mut stream| async move {
            let text = stream.next().await?;
            Some((Ok(text), stream))
        })
    }

    /// The next text to send; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            if self.is_over().await {
                return None;
            }
            if self.look {
                // Before the read, so that later changes cause another read.
                self.projected.borrow_and_update();
                let page = self.page().await;
                self.missed = page.is_none();
                if let Some(page) = page
                    && !page.is_empty()
                {
                    return Some(page);
                }
                self.look = false;
            }
            if Instant::now() >= self.heartbeat_at {
                self.heartbeat_at = Instant::now() + HEARTBEAT;
                self.look = true;
                return Some(": heartbeat\n\n".to_owned());
            }
            tokio::select! {
                changed = self.projected.changed() => {
                    changed.ok()?;
                    self.look = true;
                }
                () = sleep_until(self.heartbeat_at.min(self.checked_at + CHECK)) => self.look |= self.missed,
            }
        }
    }

    /// Whether the stream must end.
    async fn is_over(&mut self) -> bool {
        if self.app.clock.now() >= self.identity.expires_at
            // The read models come from another log, whose positions mean nothing to the client.
            || self.app.projection.complaint().is_some()
        {
            return true;
        }
        if self.checked_at.elapsed() < CHECK {
            return false;
        }
        self.checked_at = Instant::now();
        match self.app.verifier.verify(&self.token).await {
            Ok(identity) => !identity.has_role(events::Role::User),
            Err(VerifyError::Rejected(_)) => true,
            // It is unknown: then it ends with the token.
            Err(VerifyError::Unavailable(_)) => false,
        }
    }

    /// The events that can be read now.
    async fn page(&mut self) -> Option<String> {
        let owner = self.identity.user_id;
        let _admitted = self.app.admission.admit(owner, Cost::Ordinary).await.ok()?;
        let rows = match self.follower.next_page(&self.app.read_models).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "a stream of events cannot read on");
                return None;
            }
        };
        let mut page = String::new();
        for row in &rows {
            // Unreadable rows, from a newer release or damage, are left out.
            if let Err(error) = self.write(&mut page, row) {
                self.app.unreadable_rows.leave_out("task_history", &error);
            }
        }
        if page.is_empty() && !rows.is_empty() {
            page.push_str(": left out\n\n");
        }
        Some(page)
    }

    fn write(&self, page: &mut String, row: &Row) -> Result<(), DatabaseError> {
        let since = self.follower.seen(row)?;
        let id = since.write(&self.app.cursor_key, self.identity.user_id);
        let event = TaskEvent {
            task: TaskId(row.uuid("task")?),
            item: tasks::history_item_of(row)?,
        };
        let kind = row.str("type")?;
        // Names, numbers and texts can always be written; JSON has no line breaks in it.
        let data = serde_json::to_string(&event).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(page, "id: {id}\nevent: {kind}\ndata: {data}\n\n");
        Ok(())
    }
}
