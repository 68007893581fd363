//! Tells the gateway that a role is about to stop before it stops. The gateway asks once a second who is ready.
//! Without the notice it could send a request on a connection that is being closed, and could not tell whether the
//! request took effect.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::IntoResponse,
};
use http_api::Readiness;
use tokio_util::sync::CancellationToken;

/// Time between the notice and the end of accepting requests. It is longer than the interval of the gateway's
/// readiness checks.
pub(crate) const NOTICE: Duration = Duration::from_millis(1_600);

const READY: &str = "/health/ready";

/// Makes `router` report that it is not ready once `leaving` is cancelled.
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
