//! Lets the application name the caller of a request, so that one caller, or all anonymous ones, leave room for the
//! others. The server itself does not know callers.

use std::{net::IpAddr, sync::Arc};

use axum::body::HttpBody;
use http::{Response, header};

use crate::{
    caller_bytes::CallerBytes,
    connection_limit::network_of,
    load::{AtWork, Waiting, WaitingRequest},
};

/// The media type of server-sent events (HTML standard, section 9.2).
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Whether the answer lasts as long as its client likes.
pub(crate) fn is_event_stream<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM))
}

/// Among the extensions of a request: its place among what the server has at work.
#[derive(Clone)]
pub struct RequestLoad(Arc<AtWork>);

impl RequestLoad {
    pub(crate) fn new(at_work: Arc<AtWork>) -> Self {
        Self(at_work)
    }

    /// Counts the bytes of its body and of its answer for `caller`, which may have at most
    /// [`max_bytes_per_caller`](crate::ServerOptions::max_bytes_per_caller), and for the network of `address`, whose
    /// callers may have at most a third of [`max_bytes`](crate::ServerOptions::max_bytes) together. Before an answer to
    /// one of them is refused, those to others of them are cut off as they are for `max_bytes`.
    pub fn count_for(&self, caller: &CallerBytes, address: IpAddr) {
        self.0.count_for(caller, network_of(address));
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

    /// Counts the request among those that wait for the same answer, until the guard is dropped. They get half of the
    /// places, and the anonymous ones among them half of those for anonymous requests; `None` when there is no room.
    #[must_use]
    pub fn wait_in<'w>(&self, waiting: &'w Waiting) -> Option<WaitingRequest<'w>> {
        self.0.wait_in(waiting)
    }

    /// Counts the answer, as far as its length is known, and no longer the body of the request. Returns whether there
    /// is room for it; if not, it is not counted, unless it is `due`: what a command has done is told in any case.
    #[must_use]
    pub fn admits<B: HttpBody>(&self, response: &Response<B>, due: bool) -> bool {
        self.0.forget();
        let size = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        let has_room = self.0.answer(size) && (!is_event_stream(response) || self.0.stream());
        if !has_room && !due {
            self.0.forget();
        }
        has_room || due
    }
}
