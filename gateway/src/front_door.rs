//! Finds who answers a request: a role for a public path, past the guard, or the gateway itself.

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use http_api::{AccessNotes, Problem, is_elsewhere, is_public_probe};
use tower::Service as _;

use crate::{
    forward::{self, Gateway},
    guard::Guard,
    limits,
    routes::ROUTES,
    target::Target,
};

/// The public paths of the roles, and the routes of the gateway itself.
pub(crate) struct FrontDoor {
    targets: matchit::Router<(&'static str, Target)>,
    gateway: Gateway,
    guard: Guard,
    own: Router,
}

impl FrontDoor {
    /// `own` answers all that is no public path of a role.
    ///
    /// # Errors
    /// When two public paths are the same.
    pub(crate) fn new(gateway: Gateway, guard: Guard, own: Router) -> anyhow::Result<Self> {
        let mut targets = matchit::Router::new();
        for (path, target) in ROUTES {
            targets.insert(*path, (*path, *target)).context(*path)?;
        }
        Ok(Self { targets, gateway, guard, own })
    }

    pub(crate) async fn answer(&self, request: Request) -> Response {
        let Self { targets, gateway, guard, own } = self;
        if is_elsewhere(&request) {
            // The limits count it like any other unknown path.
            let unknown = |_| std::future::ready(Problem::no_such_path().into_response());
            return guard.admit(None, request, unknown).await;
        }
        let Ok(found) = targets.at(request.uri().path()) else {
            if is_public_probe(&request) {
                limits::count_probe(&request);
            }
            let Ok(response) = own.clone().call(request).await;
            return response;
        };
        let (path, target) = *found.value;
        AccessNotes::of(request.extensions()).route(path);
        // Boxed, because what surrounds it is moved several times for each request.
        let forwarding = |request| Box::pin(forward::forward(gateway, target, request));
        guard.admit(Some(path), request, forwarding).await
    }
}
