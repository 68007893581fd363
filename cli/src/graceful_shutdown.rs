//! Announces that a role is about to stop before it stops. The gateway asks once a second who is ready, and load
//! balancers ask the gateways. Without the notice they could send a request on a connection that is being closed, and
//! could not tell whether the request took effect.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_api::Leaving;
use http_server::HttpService;

/// Time between the notice and the end of accepting requests. It is longer than the interval of the gateway's
/// readiness checks.
pub(crate) const NOTICE: Duration = Duration::from_millis(1_600);

/// Makes `service` report that it is not ready once `leaving` is set.
pub(crate) fn announced(service: HttpService, leaving: Arc<AtomicBool>) -> HttpService {
    service.preparing(move |request| {
        if leaving.load(Ordering::Relaxed) {
            request.extensions_mut().insert(Leaving);
        }
    })
}
