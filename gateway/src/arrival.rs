//! The outermost layer: decides whose request it is, and drops what the client says about that.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderValue};
use http_api::X_FORWARDED_FOR;

use crate::headers;

/// Readies a request for everything that follows: no headers of this hop, none that only a proxy may set, and
/// `X-Forwarded-For` with the one address that counts.
pub(crate) async fn arrive(mut request: Request) -> Request {
    let address = client_address(request.extensions());
    let headers = request.headers_mut();
    headers::drop_hop_by_hop(headers);
    headers::drop_forwarding(headers);
    if let Some(address) = address.and_then(|address| HeaderValue::from_str(&address).ok()) {
        headers.insert(&X_FORWARDED_FOR, address);
    }
    request
}

/// The client's address: the peer of the connection. What proxies in front say is not believed; once some are
/// trusted, this is where their word is read, right to left.
fn client_address(extensions: &Extensions) -> Option<String> {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|peer| peer.0.ip().to_canonical().to_string())
}
