//! Lets the application name the caller of a request, so that one caller, or all anonymous ones, leave room for the
//! others. The server itself does not know callers.

use std::sync::Arc;

use crate::{caller_bytes::CallerBytes, load::AtWork};

/// A request's share of the work in progress, among its extensions.
#[derive(Clone)]
pub struct RequestLoad(Arc<AtWork>);

impl RequestLoad {
    pub(crate) fn new(at_work: Arc<AtWork>) -> Self {
        Self(at_work)
    }

    /// Counts the bytes of its body and of its answer for `caller`, which may have at most
    /// [`max_bytes_per_caller`](crate::ServerOptions::max_bytes_per_caller).
    pub fn count_for(&self, caller: &CallerBytes) {
        self.0.count_for(caller);
    }

    /// Counts the request as anonymous. Anonymous requests get half of the places. Returns whether there is room.
    #[must_use]
    pub fn count_as_anonymous(&self) -> bool {
        self.0.anonymous()
    }

    /// Counts the request as not anonymous after all.
    pub fn count_as_known(&self) {
        self.0.not_anonymous();
    }
}
