//! A service may have an address for everyone and one for operators. Which paths there are at each of them.

use axum::extract::Request;
use http::Extensions;
use http_server::HttpService;

use crate::route::{METRICS, STARTUP, is_probe};

/// The listener of a request, where a service has more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Public,
    Admin,
}

impl Listener {
    /// The listener of the request with these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().copied()
    }

    fn leads_to(self, path: &str) -> bool {
        match self {
            Self::Public => path != METRICS && path != STARTUP,
            Self::Admin => is_probe(path),
        }
    }
}

/// Only the probes and `/metrics` of a service that [`with_middleware`](crate::with_middleware) made, for an address
/// that is not public.
pub fn admin_of(service: HttpService) -> HttpService {
    reached_by(Listener::Admin, service)
}

/// A service that [`with_middleware`](crate::with_middleware) made, for a public address: without `/metrics` and
/// `/health/startup`, and without the reasons of readiness.
pub fn public_of(service: HttpService) -> HttpService {
    reached_by(Listener::Public, service)
}

fn reached_by(listener: Listener, service: HttpService) -> HttpService {
    service.preparing(move |request| {
        request.extensions_mut().insert(listener);
    })
}

/// Whether the request is a probe at the public address, where anyone can send it.
pub fn is_public_probe(request: &Request) -> bool {
    Listener::of(request.extensions()) == Some(Listener::Public) && is_probe(request.uri().path())
}

/// Whether the path of a request is not at the address to which it was sent, although the service may have it. Then
/// it is unknown there.
pub fn is_elsewhere(request: &Request) -> bool {
    let listener = Listener::of(request.extensions());
    listener.is_some_and(|listener| !listener.leads_to(request.uri().path()))
}
