//! Wake-ups between those who write and those who wait: `LISTEN`/`NOTIFY` in PostgreSQL, a channel within
//! the process for SQLite. They are hints: a waiter also looks now and then, since a signal can be lost.

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::broadcast;

/// Signals of one channel, as [`crate::Database::signals`] gives them.
#[derive(Debug)]
pub struct Signals(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Postgres {
        pool: PgPool,
        channel: &'static str,
        listener: Option<Box<PgListener>>,
    },
    Local {
        channel: &'static str,
        receiver: broadcast::Receiver<(&'static str, String)>,
    },
}

impl Signals {
    /// The payload of the next signal, or `None` when some may have been lost (a reconnect, a burst): look
    /// for yourself. Never fails; without a connection it keeps trying, with a pause.
    pub async fn next(&mut self) -> Option<String> {
        match &mut self.0 {
            Source::Local { channel, receiver } => loop {
                match receiver.recv().await {
                    Ok((name, payload)) if name == *channel => return Some(payload),
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return None,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
                }
            },
            Source::Postgres {
                pool,
                channel,
                listener,
            } => loop {
                let Some(connected) = listener else {
                    match connect(pool, channel).await {
                        Ok(fresh) => {
                            *listener = Some(Box::new(fresh));
                            return None;
                        }
                        Err(error) => {
                            tracing::debug!(%error, "cannot listen for signals yet");
                            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                            continue;
                        }
                    }
                };
                match connected.try_recv().await {
                    Ok(Some(notification)) => return Some(notification.payload().to_owned()),
                    Ok(None) => return None,
                    Err(_) => *listener = None,
                }
            },
        }
    }
}

async fn connect(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.listen(channel).await?;
    Ok(listener)
}
