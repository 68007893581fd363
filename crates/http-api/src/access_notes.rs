//! Facts about a request that its handlers add to its line in the access log.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use events::UserId;
use http::Extensions;
use parking_lot::Mutex;

/// Notes about one request, which travel with it in its extensions.
#[derive(Clone, Default)]
pub struct AccessNotes(Arc<Mutex<Noted>>);

/// The facts so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    pub(crate) route: Option<Cow<'static, str>>,
    pub(crate) user: Option<UserId>,
    pub(crate) cache: Option<&'static str>,
    pub(crate) limit: Option<&'static str>,
    pub(crate) limit_name: Option<String>,
    pub(crate) upstream: Option<Duration>,
}

impl AccessNotes {
    /// The notes of the request with these extensions. Where requests are not logged, they are ignored.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Records the route, with the names of its parameters.
    pub fn route(&self, route: impl Into<Cow<'static, str>>) {
        self.0.lock().route = Some(route.into());
    }

    /// Records the account, from a token with a verified signature.
    pub fn user(&self, user: UserId) {
        self.0.lock().user = Some(user);
    }

    /// Records how a cache answered the request.
    pub fn cache(&self, status: &'static str) {
        self.0.lock().cache = Some(status);
    }

    /// Records that every limit allowed the request.
    pub fn limits_passed(&self) {
        self.0.lock().limit = Some("passed");
    }

    /// Records that the limit of this name refused the request.
    pub fn limit_refused(&self, name: &str) {
        let mut noted = self.0.lock();
        noted.limit = Some("refused");
        noted.limit_name = Some(name.to_owned());
    }

    /// Adds the time until another role began its answer.
    pub fn upstream(&self, took: Duration) {
        *self.0.lock().upstream.get_or_insert_default() += took;
    }

    /// The route that answered it, if one did.
    pub(crate) fn take_route(&self) -> Option<Cow<'static, str>> {
        self.0.lock().route.take()
    }

    pub(crate) fn taken(&self) -> Noted {
        self.0.lock().clone()
    }
}

impl fmt::Debug for AccessNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.taken().fmt(f)
    }
}
