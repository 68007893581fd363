//! What a handler knows about the request that it serves.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{Extensions, HeaderMap, HeaderName, header, request::Parts};

use crate::request_id::{self, TRACEPARENT, X_FORWARDED_FOR, X_REQUEST_ID};

/// About the request, apart from what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's id; also the correlation id of the events that it causes.
    pub request_id: String,
    /// W3C `traceparent`.
    pub traceparent: Option<String>,
    /// The client's address: what the gateway says, otherwise the peer of the connection.
    pub client_ip: Option<String>,
    /// As the client sent it.
    pub user_agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        Ok(Self {
            request_id: text(headers, &X_REQUEST_ID)
                .or_else(request_id::current)
                .unwrap_or_else(|| request_id::of_request(headers).0),
            traceparent: text(headers, &TRACEPARENT),
            client_ip: Self::client_ip(headers, &parts.extensions),
            user_agent: Self::user_agent(headers),
        })
    }
}

impl RequestContext {
    /// What the gateway says, otherwise the peer of the connection.
    pub(crate) fn client_ip(headers: &HeaderMap, extensions: &Extensions) -> Option<String> {
        let forwarded = text(headers, &X_FORWARDED_FOR).and_then(|text| text.parse().ok());
        let peer = || {
            extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|peer| peer.0.ip())
        };
        forwarded
            .or_else(peer)
            .map(|address: IpAddr| address.to_canonical().to_string())
    }

    pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
        text(headers, &header::USER_AGENT)
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}
