//! A role that is about to stop says so first, and goes on for a moment. The gateway asks once a second who is ready, and whatever
//! balances load in front of gateways asks them: otherwise a request would be sent on a connection that is just being closed, and
//! nobody could tell what became of it.

use std::time::Duration;

use axum::{Router, extract::Request, middleware};
use http_api::Leaving;
use tokio_util::sync::CancellationToken;

/// Time between the notice and the end of accepting requests. It is longer than the interval of the gateway's
/// readiness checks.
pub(crate) const NOTICE: Duration = Duration::from_millis(1_600);

/// `router`, which is not ready any more once `leaving` is cancelled.
pub(crate) fn announced(router: Router, leaving: CancellationToken) -> Router {
    router.layer(middleware::map_request(move |mut request: Request| {
        if leaving.is_cancelled() {
            request.extensions_mut().insert(Leaving);
        }
        std::future::ready(request)
    }))
}
