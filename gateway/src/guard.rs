//! Runs before every route, including unknown ones: the limits, and the answers to preflight requests. The routes
//! call it themselves, because a layer of axum around each of them would copy the route for every request.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use crate::{
    cors,
    limits::{self, Limiter},
    policy::Policies,
};

/// The guard. Clones share everything.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Parts>);

struct Parts {
    policies: Policies,
    limiter: Limiter,
}

impl Guard {
    pub(crate) fn new(policies: Policies, limiter: Limiter) -> Self {
        Self(Arc::new(Parts { policies, limiter }))
    }

    /// Runs `answer` for a request to `path`, unless it is refused or a preflight request.
    pub(crate) async fn admit<Answering>(
        &self,
        path: Option<&str>,
        request: Request,
        answer: impl FnOnce(Request) -> Answering,
    ) -> Response
    where
        Answering: Future<Output = Response>,
    {
        let Parts { policies, limiter } = &*self.0;
        let within_limits = async |request: Request| match cors::answer_to_preflight(policies, &request) {
            Some(response) => response,
            None => answer(request).await,
        };
        limits::limit(limiter, path, request, within_limits).await
    }
}

/// [`Guard::admit`] as a layer, for paths that are rarely requested.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map(MatchedPath::as_str);
    guard.admit(path, request, |request| next.run(request)).await
}
