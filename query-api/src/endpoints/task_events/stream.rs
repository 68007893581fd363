//! One stream. It works only while its client takes what it has, so that a slow one costs a page of memory at most; the
//! server cuts off a client that takes nothing.

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

/// Says that the stream lives, and is a look for what no signal told of.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often to ask whether the session is still live: a stream ends within a second of it. Mostly the answer is remembered.
const CHECK: Duration = Duration::from_millis(500);

pub(super) struct EventStream {
    app: App,
    identity: Arc<Identity>,
    token: String,
    follower: Follower,
    /// How far everything about the caller has been projected.
    projected: watch::Receiver<u64>,
    /// What is to be sent before anything that happens.
    greeting: Option<String>,
    look: bool,
    /// A look failed.
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
        // An id without data: a client that loses the connection before anything happens comes back to this place.
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

    /// What to send next; nothing when the stream is over.
    async fn next(&mut self) -> Option<String> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            if self.is_over().await {
                return None;
            }
            if self.look {
                // Before the look, so that whatever is projected after it is looked for again.
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
                () = self.app.stop.cancelled() => return None,
                changed = self.projected.changed() => {
                    changed.ok()?;
                    self.look = true;
                }
                () = sleep_until(self.heartbeat_at.min(self.checked_at + CHECK)) => self.look |= self.missed,
            }
        }
    }

    /// Whether nobody may be told any more.
    async fn is_over(&mut self) -> bool {
        if self.app.stop.is_cancelled()
            || self.app.clock.now() >= self.identity.expires_at
            // What is projected comes from another log: its positions say nothing to the client.
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
            // Nobody knows: then it ends with the token.
            Err(VerifyError::Unavailable(_)) => false,
        }
    }

    /// What has happened, if that can be told now.
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
            // What a newer release, or damage, has made unreadable keeps nothing else back.
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
