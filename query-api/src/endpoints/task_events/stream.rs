//! One stream. It works only while its client reads, so that a slow client costs at most a page of memory; the server
//! disconnects a client that does not read.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use api_types::TaskEvent;
use auth_client::{Identity, VerifyError};
use database::{DatabaseError, Row};
use events::TaskId;
use futures::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use crate::{
    admission::Cost,
    app_state::AppState,
    stream_limits::OpenStream,
    stream_wakeups::Wakeup,
    tasks::{self, ChangeToken, Follower},
};

/// How often a comment is sent to keep the connection alive, and the table is read without a signal.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is checked that the session is still live, so that a stream ends within a second of it. Usually the
/// answer is cached.
const CHECK: Duration = Duration::from_millis(500);
/// How long it waits with the next check when auth did not answer, so that many streams do not keep it from recovering.
const CHECK_WITHOUT_ANSWER: Duration = Duration::from_secs(5);
/// How long the table is not read after a read that found nothing. A large commit wakes the streams of everybody in
/// its partition.
const PAUSE: Duration = Duration::from_millis(250);

/// When the table is read again.
struct NextLook {
    is_wanted: bool,
    earliest: Instant,
}

impl NextLook {
    const fn at(earliest: Instant) -> Self {
        Self { is_wanted: true, earliest }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_wanted && now >= self.earliest
    }

    /// When to wake up for it; not after `at`.
    fn or(&self, at: Instant) -> Instant {
        if self.is_wanted { self.earliest.min(at) } else { at }
    }

    fn found_nothing(&mut self, now: Instant) {
        self.is_wanted = false;
        self.earliest = now + PAUSE;
    }
}

pub(super) struct EventStream {
    state: AppState,
    identity: Arc<Identity>,
    token: String,
    follower: Follower,
    wakeup: Wakeup,
    /// The text to send before the first event.
    greeting: Option<String>,
    look: NextLook,
    /// Whether the last read failed.
    missed: bool,
    check_at: Instant,
    heartbeat_at: Instant,
    _open: OpenStream,
}

impl EventStream {
    pub(super) fn new(
        state: AppState,
        identity: Arc<Identity>,
        token: String,
        since: ChangeToken,
        open: OpenStream,
    ) -> Self {
        let owner = identity.user_id;
        // An id without data: a client that loses the connection before the first event continues from here.
        let id = since.write(&state.cursor_key, owner);
        let now = Instant::now();
        Self {
            wakeup: state.stream_wakeups.of(owner),
            greeting: Some(format!("retry: 1000\nid: {id}\n\n")),
            follower: Follower::new(owner, since),
            state,
            identity,
            token,
            look: NextLook::at(now),
            missed: false,
            check_at: now + CHECK,
            heartbeat_at: now + HEARTBEAT,
            _open: open,
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
            if self.look.is_due(Instant::now()) {
                // Before the read, so that later changes cause another read.
                self.wakeup.forget();
                let page = self.page().await;
                self.missed = page.is_none();
                if let Some(page) = page
                    && !page.is_empty()
                {
                    return Some(page);
                }
                self.look.found_nothing(Instant::now());
            }
            if Instant::now() >= self.heartbeat_at {
                self.heartbeat_at = Instant::now() + HEARTBEAT;
                self.look.is_wanted = true;
                return Some(": heartbeat\n\n".to_owned());
            }
            let wake_at = self.look.or(self.heartbeat_at.min(self.check_at));
            tokio::select! {
                () = self.wakeup.next(), if !self.look.is_wanted => self.look.is_wanted = true,
                () = sleep_until(wake_at) => self.look.is_wanted |= self.missed,
            }
        }
    }

    /// Whether the stream must end.
    async fn is_over(&mut self) -> bool {
        if self.state.clock.now() >= self.identity.expires_at
            // The read models come from another log, whose positions mean nothing to the client.
            || self.state.projection.complaint().is_some()
        {
            return true;
        }
        if Instant::now() < self.check_at {
            return false;
        }
        self.check_at = Instant::now() + CHECK;
        match self.state.verifier.verify(&self.token).await {
            Ok(identity) => !identity.has_role(events::Role::User),
            Err(VerifyError::Rejected(_)) => true,
            // It is unknown: then it ends with the token.
            Err(VerifyError::Unavailable(_) | VerifyError::Failed) => {
                self.check_at = Instant::now() + runtime::jittered(CHECK_WITHOUT_ANSWER);
                false
            }
        }
    }

    /// The events that can be read now.
    async fn page(&mut self) -> Option<String> {
        let owner = self.identity.user_id;
        let _admitted = self.state.admission.admit(owner, Cost::Stream).await.ok()?;
        let rows = match self.follower.next_page(&self.state.read_models).await {
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
                self.state.metrics.leave_out("task_history", &error);
            }
        }
        if page.is_empty() && !rows.is_empty() {
            page.push_str(": left out\n\n");
        }
        Some(page)
    }

    fn write(&self, page: &mut String, row: &Row) -> Result<(), DatabaseError> {
        let since = self.follower.seen(row)?;
        let id = since.write(&self.state.cursor_key, self.identity.user_id);
        let event = TaskEvent { task: TaskId(row.uuid("task")?), item: tasks::history_item_of(row)? };
        let kind = row.str("type")?;
        // Names, numbers and texts can always be written; JSON has no line breaks in it.
        let data = serde_json::to_string(&event).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(page, "id: {id}\nevent: {kind}\ndata: {data}\n\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_partition_makes_an_idle_stream_read_four_times_a_second() {
        let start = Instant::now();
        let mut look = NextLook::at(start);
        let mut reads = 0;
        // A commit of somebody else every 5 ms, for ten seconds.
        for commit in 0..2_000 {
            let now = start + Duration::from_millis(5) * commit;
            look.is_wanted = true;
            assert!(look.or(now + HEARTBEAT) <= now + PAUSE, "it wakes up in time");
            if look.is_due(now) {
                reads += 1;
                look.found_nothing(now);
            }
        }
        assert_eq!(reads, 40);
    }
}
