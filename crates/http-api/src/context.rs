//! What a handler knows about the request that it serves.

use std::{convert::Infallible, net::IpAddr};

use axum::extract::FromRequestParts;
use events::{BoundedText, CorrelationId, Traceparent};
use http::{Extensions, HeaderMap, HeaderValue, header, request::Parts};
use http_server::network_of;

use crate::{client_address::peer, headers::X_FORWARDED_FOR, request_id, trace_context};

/// What a client calls itself.
pub type UserAgent = BoundedText<512>;

/// About the request, apart from what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's id; also the correlation id of the events that it causes.
    pub request_id: CorrelationId,
    /// W3C `traceparent`.
    pub traceparent: Option<Traceparent>,
    /// The client's address: what the gateway says, otherwise the peer of the connection.
    pub client_ip: Option<String>,
    /// As the client sent it, as far as it is text.
    pub user_agent: Option<UserAgent>,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        Ok(Self {
            request_id: request_id::current()
                .unwrap_or_else(|| request_id::of_request(headers).0)
                .into(),
            traceparent: trace_context::valid(headers),
            client_ip: Self::client(headers, &parts.extensions).map(|address| address.to_string()),
            user_agent: headers.get(header::USER_AGENT).map(shown_user_agent),
        })
    }
}

impl RequestContext {
    /// The network that the client has to itself: its address, of IPv6 the first 64 bits, of which it may use any and often changes
    /// the rest.
    #[must_use]
    pub fn client_network(&self) -> Option<IpAddr> {
        let address = self.client_ip.as_deref()?.parse().ok()?;
        Some(network_of(address))
    }

    /// What the gateway says, otherwise the peer of the connection.
    pub(crate) fn client(headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let forwarded = headers
            .get(&X_FORWARDED_FOR)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        forwarded
            .or_else(|| peer(extensions))
            .map(|address: IpAddr| address.to_canonical())
    }
}

/// What a client calls itself, as people may read it.
pub(crate) fn shown_user_agent(value: &HeaderValue) -> UserAgent {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.replace(char::is_control, " ").into()
}
