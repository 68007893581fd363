//! A role behind the gateway that is about to stop says so first, and goes on for a moment. The gateway asks once a second who
//! is ready: otherwise it would send a request on a connection that is just being closed, and could not tell what became of it.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::IntoResponse,
};
use http_api::Readiness;
use tokio_util::sync::CancellationToken;

/// From saying so until no more requests are taken: longer than from one question of the gateway to the next.
pub(crate) const NOTICE: Duration = Duration::from_millis(1_600);

const READY: &str = "/health/ready";

/// `router`, which is not ready any more once `leaving` is cancelled.
pub(crate) fn announced(router: Router, leaving: CancellationToken) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let leaving = leaving.clone();
        async move {
            if leaving.is_cancelled() && request.uri().path() == READY {
                let checks = vec![("process", Err("it is about to stop".to_owned()))];
                return Readiness { checks }.into_response();
            }
            next.run(request).await
        }
    }))
}
