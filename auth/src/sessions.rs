//! The live sessions of an account: what the read model shows, brought up to date with the end of the log, so
//! that the answer is exact whether the projector keeps up or not.

use std::collections::HashMap;

use database::{Database, Row};
use event_store::EventStore;
use events::{
    Event, PartitionCount, RecordedEvent, Session, SessionEvent, SessionId, StreamKind, Timestamp, UserId,
};

use crate::error::Failure;

/// Events read from the log at once.
const PAGE: usize = 1_000;

/// A session that has not ended, as far as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) started_at: Timestamp,
    pub(crate) last_refreshed_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    version: u64,
}

/// Every session of `account` that is live at `now`, the newest first, and the position in the log of the
/// last event that shows in them.
pub(crate) async fn live_sessions(
    read_models: &Database,
    store: &dyn EventStore,
    partitions: PartitionCount,
    account: UserId,
    now: Timestamp,
) -> Result<(Vec<LiveSession>, u64), Failure> {
    // The checkpoint first: rows that are newer than it hold events that come again below, which are skipped.
    let mut after = checkpoint(read_models, partitions, account).await?;
    let (mut sessions, mut shown) = rows(read_models, account).await?;
    let head = store.head().await?;
    while after < head {
        let page = store.log_page(after, PAGE).await?;
        let Some(last) = page.position() else { break };
        after = last;
        for recorded in page
            .entries
            .iter()
            .flatten()
            .filter(|recorded| recorded.metadata.subject == account)
        {
            if apply(&mut sessions, recorded)? {
                shown = shown.max(recorded.position);
            }
        }
    }
    let mut live: Vec<_> = sessions
        .into_values()
        .filter(|session| now < session.expires_at)
        .collect();
    live.sort_by_key(|session| std::cmp::Reverse((session.started_at, session.id)));
    Ok((live, shown))
}

async fn checkpoint(
    read_models: &Database,
    partitions: PartitionCount,
    account: UserId,
) -> Result<u64, Failure> {
    let sql = "SELECT position FROM checkpoints WHERE partitions = $1 AND partition = $2";
    let partition = partitions.of(account);
    let row = read_models
        .fetch_optional(sql, &[partitions.get().into(), partition.into()])
        .await?;
    Ok(row
        .map(|row| row.unsigned("position"))
        .transpose()?
        .unwrap_or_default())
}

async fn rows(
    read_models: &Database,
    account: UserId,
) -> Result<(HashMap<SessionId, LiveSession>, u64), Failure> {
    let sql = "SELECT id, started_at, last_refreshed_at, expires_at, ip, user_agent, version, position
               FROM sessions WHERE account = $1 AND ended_at IS NULL";
    let mut sessions = HashMap::new();
    let mut shown = 0;
    for row in read_models.fetch_all(sql, &[account.0.into()]).await? {
        let session = read(&row)?;
        shown = shown.max(row.unsigned("position")?);
        sessions.insert(session.id, session);
    }
    Ok((sessions, shown))
}

fn read(row: &Row) -> Result<LiveSession, database::DatabaseError> {
    let instant = |column| row.integer(column).map(Timestamp::from_micros);
    Ok(LiveSession {
        id: SessionId(row.uuid("id")?),
        started_at: instant("started_at")?,
        last_refreshed_at: instant("last_refreshed_at")?,
        expires_at: instant("expires_at")?,
        ip: row.optional_text("ip")?,
        user_agent: row.optional_text("user_agent")?,
        version: row.unsigned("version")?,
    })
}

/// Applies an event of the log's end; false when it is not about a session, or shows already.
fn apply(sessions: &mut HashMap<SessionId, LiveSession>, recorded: &RecordedEvent) -> Result<bool, Failure> {
    let Ok(StreamKind::Session(id)) = recorded.stream.kind() else {
        return Ok(false);
    };
    let Event::Session(event) = Event::try_from(recorded)? else {
        return Ok(false);
    };
    if sessions
        .get(&id)
        .is_some_and(|session| recorded.version <= session.version)
    {
        return Ok(false);
    }
    match event {
        SessionEvent::Started(_) => {
            let session = Session::evolve(None, id, &event, recorded.version, recorded.recorded_at);
            sessions.extend(session.map(|session| (id, LiveSession::from(session))));
        }
        SessionEvent::Refreshed(_) => {
            if let Some(session) = sessions.get_mut(&id) {
                session.last_refreshed_at = recorded.recorded_at;
                session.version = recorded.version;
            }
        }
        SessionEvent::Ended(_) => drop(sessions.remove(&id)),
    }
    Ok(true)
}

impl From<Session> for LiveSession {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            started_at: session.started_at,
            last_refreshed_at: session.last_refreshed_at,
            expires_at: session.expires_at,
            ip: session.ip,
            user_agent: session.user_agent,
            version: session.version,
        }
    }
}
