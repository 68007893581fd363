//! The outermost layer: finds the address of the client, and removes the headers with which a client could claim
//! another.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use http::HeaderValue;
use http_api::{ClientAddress, X_FORWARDED_FOR};

use crate::{headers, policy::Policy};

/// Prepares a request for the other layers: removes headers of this hop and headers that only a proxy may set, and
/// sets `X-Forwarded-For` to the client's address.
pub(crate) fn arrive(policy: &Policy, mut request: Request) -> Request {
    let client = client_address(policy, &request);
    let headers = request.headers_mut();
    headers::drop_hop_by_hop(headers);
    headers::drop_forwarding(headers);
    if let Some(client) = client {
        if let Ok(text) = HeaderValue::from_str(&client.to_string()) {
            headers.insert(&X_FORWARDED_FOR, text);
        }
        request.extensions_mut().insert(ClientAddress(client));
    }
    request
}

/// The peer of the connection, or the address that a trusted proxy reports.
fn client_address(policy: &Policy, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(policy.trusted_proxies.client(peer.0.ip(), request.headers()))
}
