//! The vendor's client and what to do when it fails. A client that has not reached the server once never tries
//! again, and one of a cluster stays with a node that died, so it is replaced here.

use std::{fmt, time::Duration};

use database::masked;
use events::StreamName;
use eventstore::{Client, ClientSettings, Error, SubscriptionFilter};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use crate::OpenError;

/// How often an operation is tried when the connection fails.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(50);
/// The least time between two clients.
const CLIENT_PAUSE: Duration = Duration::from_millis(100);
/// The parameter of the connection string that is Taskledger's own.
const STREAM_PREFIX: &str = "streamprefix";

/// The way to a server or a cluster.
pub(super) struct Connection {
    /// For messages, with the password masked.
    url: String,
    settings: ClientSettings,
    /// What the names of streams begin with on the server.
    prefix: String,
    current: Mutex<Current>,
}

struct Current {
    client: Option<Client>,
    /// Counts the clients.
    generation: u64,
    /// When the next client may be made.
    not_before: Instant,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads a connection string; connects when it is first needed.
    pub(super) fn new(url: &str) -> Result<Self, OpenError> {
        let (vendors, prefix) = split(url);
        let wrong = |reason: String| OpenError::Url {
            url: masked(url),
            reason,
        };
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
        if !prefix.chars().all(plain) {
            return Err(wrong(
                "streamPrefix takes letters, digits and `-`, `_`, `.` only".to_owned(),
            ));
        }
        let settings: ClientSettings =
            vendors
                .parse()
                .map_err(|error: eventstore::ClientSettingsParseError| {
                    // Its own message may be the whole connection string, password included.
                    wrong(error.error().map_or_else(
                        || error.message().replace(vendors.as_str(), "…"),
                        |error| error.to_string(),
                    ))
                })?;
        Ok(Self {
            url: masked(url),
            settings,
            prefix,
            current: Mutex::new(Current {
                client: None,
                generation: 0,
                not_before: Instant::now(),
            }),
        })
    }

    pub(super) fn open_error(&self, reason: String) -> OpenError {
        OpenError::Url {
            url: self.url.clone(),
            reason,
        }
    }

    /// What the server calls `stream`.
    pub(super) fn name(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.prefix)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What may be Taskledger's, as far as the server can tell.
    pub(super) fn filter(&self) -> SubscriptionFilter {
        let filter = SubscriptionFilter::on_stream_name();
        if self.prefix.is_empty() {
            filter.exclude_system_events()
        } else {
            filter.add_prefix(&self.prefix)
        }
    }

    /// Runs `operation`, again if the connection fails. It may then have been done before, and must be of a
    /// kind that does not mind.
    pub(super) async fn run<T, F, R>(&self, operation: F) -> Result<T, Error>
    where
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(&operation).await {
                Err(error) if is_of_connection(&error) => {
                    tracing::debug!(%error, "an operation on KurrentDB is tried again");
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        self.once(&operation).await
    }

    async fn once<T, F, R>(&self, operation: &F) -> Result<T, Error>
    where
        F: Fn(Client) -> R + Send + Sync,
        R: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        let (client, generation) = self.client().await?;
        let result = operation(client).await;
        if let Err(error) = &result {
            self.failed(generation, error).await;
        }
        result
    }

    /// The client to use, and its generation for [`Self::failed`].
    pub(super) async fn client(&self) -> Result<(Client, u64), Error> {
        let mut current = self.current.lock().await;
        if let Some(client) = &current.client {
            return Ok((client.clone(), current.generation));
        }
        sleep_until(current.not_before).await;
        current.not_before = Instant::now() + CLIENT_PAUSE;
        let client = Client::new(self.settings.clone())
            .map_err(|error| Error::InitializationError(error.to_string()))?;
        current.client = Some(client.clone());
        current.generation += 1;
        Ok((client, current.generation))
    }

    /// Replaces the client if the error says that it will not recover, unless that has been done already.
    pub(super) async fn failed(&self, generation: u64, error: &Error) {
        let is_cluster = self.settings.is_dns_discovery_enabled() || self.settings.hosts().len() > 1;
        let is_lost = match error {
            Error::ConnectionClosed | Error::GrpcConnectionError(_) => true,
            Error::ServerError(_) => is_cluster,
            _ => false,
        };
        if is_lost {
            let mut current = self.current.lock().await;
            if current.generation == generation {
                current.client = None;
            }
        }
    }
}

/// Whether another attempt may succeed where this one failed.
fn is_of_connection(error: &Error) -> bool {
    matches!(
        error,
        Error::ServerError(_)
            | Error::NotLeaderException(_)
            | Error::ConnectionClosed
            | Error::GrpcConnectionError(_)
    )
}

/// The connection string without Taskledger's own parameter, and that parameter.
fn split(url: &str) -> (String, String) {
    let Some((before, query)) = url.split_once('?') else {
        return (url.to_owned(), String::new());
    };
    let mut prefix = String::new();
    let mut others = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case(STREAM_PREFIX) => prefix = value.to_owned(),
            _ => others.push(parameter),
        }
    }
    if others.is_empty() {
        (before.to_owned(), prefix)
    } else {
        (format!("{before}?{}", others.join("&")), prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_parameter_is_taken_out() {
        for (url, vendors, prefix) in [
            ("esdb://host:2113", "esdb://host:2113", ""),
            ("esdb://host?tls=false", "esdb://host?tls=false", ""),
            ("esdb://host?streamPrefix=a-", "esdb://host", "a-"),
            (
                "kurrentdb://a,b?tls=false&STREAMPREFIX=x.&nodePreference=leader",
                "kurrentdb://a,b?tls=false&nodePreference=leader",
                "x.",
            ),
        ] {
            assert_eq!(split(url), (vendors.to_owned(), prefix.to_owned()), "{url}");
        }
    }

    #[test]
    fn password_is_never_shown() {
        for url in [
            "esdb://admin:s3cret@host?streamPrefix=a/b",
            "esdb://admin:s3cret@one,two:x?tls=false",
            "esdb://admin:s3cret@host/path",
            "esdb://admin:s3cret@host?nodePreference=nobody",
            "other://admin:s3cret@host",
        ] {
            let error = Connection::new(url).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("admin:***@"), "{error}");
        }
    }
}
