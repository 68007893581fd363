//! What whoever serves a request finds out about it, for its line in the access log.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::MatchedPath;
use events::UserId;
use http::Extensions;

/// Notes about one request, which travel with it in its extensions.
#[derive(Clone, Default)]
pub struct AccessNotes(Arc<Mutex<Noted>>);

/// What has been found out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    pub(crate) route: Option<MatchedPath>,
    pub(crate) user: Option<UserId>,
    pub(crate) cache: Option<&'static str>,
    pub(crate) limit: Option<&'static str>,
    pub(crate) limit_name: Option<String>,
    pub(crate) upstream: Option<Duration>,
}

impl AccessNotes {
    /// Those of the request with these extensions. Where nobody logs requests, they lead nowhere.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// It is answered by this route.
    pub(crate) fn route(&self, route: MatchedPath) {
        self.noted().route = Some(route);
    }

    /// It is of this account, as a token says whose signature has been verified.
    pub fn user(&self, user: UserId) {
        self.noted().user = Some(user);
    }

    /// How a cache answered it.
    pub fn cache(&self, status: &'static str) {
        self.noted().cache = Some(status);
    }

    /// Every limit that counts it had room.
    pub fn limits_passed(&self) {
        self.noted().limit = Some("passed");
    }

    /// The limit of this name had no room.
    pub fn limit_refused(&self, name: &str) {
        let mut noted = self.noted();
        noted.limit = Some("refused");
        noted.limit_name = Some(name.to_owned());
    }

    /// Another role took so long to begin its answer; several times add up.
    pub fn upstream(&self, took: Duration) {
        *self.noted().upstream.get_or_insert_default() += took;
    }

    /// The route that answered it, if one did.
    pub(crate) fn take_route(&self) -> Option<MatchedPath> {
        self.noted().route.take()
    }

    pub(crate) fn taken(&self) -> Noted {
        self.noted().clone()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Each note is written whole, so a poisoned lock is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AccessNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.taken().fmt(f)
    }
}
