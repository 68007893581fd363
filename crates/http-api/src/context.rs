//! Facts about the request that a handler serves.

use std::{convert::Infallible, net::IpAddr};

use axum::extract::FromRequestParts;
use events::{BoundedText, CorrelationId, Traceparent};
use http::{Extensions, HeaderMap, HeaderValue, header, request::Parts};
use http_server::network_of;

use crate::{client_address::peer, headers::X_FORWARDED_FOR, request_id, trace_context};

/// The client's `User-Agent`.
pub(crate) type UserAgent = BoundedText<512>;

/// Facts about the request that are not in its path or body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's id; also the correlation id of the events that it causes.
    pub request_id: CorrelationId,
    /// W3C `traceparent`.
    pub traceparent: Option<Traceparent>,
    /// The client's address: from the gateway, or else the peer of the connection.
    pub client_ip: Option<String>,
    /// The `User-Agent` of the client, as far as it is text.
    pub user_agent: Option<UserAgent>,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        Ok(Self {
            request_id: request_id::current().unwrap_or_else(|| request_id::of_request(headers).0).into(),
            traceparent: trace_context::valid(headers),
            client_ip: Self::client(headers, &parts.extensions).map(|address| address.to_string()),
            user_agent: headers.get(header::USER_AGENT).map(shown_user_agent),
        })
    }
}

impl RequestContext {
    /// The network of the client: its IPv4 address, or the first 64 bits of its IPv6 address, since it can use any
    /// address in there.
    pub fn client_network(&self) -> Option<IpAddr> {
        let address = self.client_ip.as_deref()?.parse().ok()?;
        Some(network_of(address))
    }

    /// The client's address: from the gateway, or else the peer of the connection.
    pub(crate) fn client(headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let forwarded = headers.get(&X_FORWARDED_FOR).and_then(|value| value.to_str().ok()?.parse().ok());
        forwarded.or_else(|| peer(extensions)).map(|address: IpAddr| address.to_canonical())
    }
}

/// The `User-Agent` in a form that can be shown.
pub(crate) fn shown_user_agent(value: &HeaderValue) -> UserAgent {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.replace(char::is_control, " ").into()
}
