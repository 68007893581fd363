//! What whoever answers a request tells about its sender, so that one of them, or all who are unknown, leave room for the others. The
//! server itself does not know who they are.

use std::sync::Arc;

use crate::{caller_bytes::CallerBytes, load::AtWork};

/// Among the extensions of a request: its place among what the server has at work.
#[derive(Clone)]
pub struct RequestLoad(Arc<AtWork>);

impl RequestLoad {
    pub(crate) fn new(at_work: Arc<AtWork>) -> Self {
        Self(at_work)
    }

    /// Counts the bytes of its body and of its answer among those of `caller`, of which there are at most
    /// [`max_bytes_per_caller`](crate::ServerOptions::max_bytes_per_caller).
    pub fn count_for(&self, caller: &CallerBytes) {
        self.0.count_for(caller);
    }

    /// Counts it among those of which nobody knows who sent them, which have half of the places. Whether there is room is told.
    #[must_use]
    pub fn count_as_anonymous(&self) -> bool {
        self.0.anonymous()
    }

    /// It is known after all who sent it.
    pub fn count_as_known(&self) {
        self.0.not_anonymous();
    }
}
