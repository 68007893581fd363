//! Forwards every public path, past the guard.

use std::sync::Arc;

use axum::{Router, extract::Request, routing::any};

use crate::{
    forward::{self, Gateway},
    guard::Guard,
    routes::ROUTES,
};

/// Forwards every public path, past the guard.
pub(crate) fn router(gateway: &Arc<Gateway>, guard: &Guard) -> Router {
    ROUTES.iter().fold(Router::new(), |router, (path, target)| {
        let (gateway, guard) = (Arc::clone(gateway), guard.clone());
        let handler = move |request: Request| async move {
            let forwarding = |request| forward::forward(&gateway, *target, request);
            guard.admit(Some(path), request, forwarding).await
        };
        router.route(path, any(handler))
    })
}
