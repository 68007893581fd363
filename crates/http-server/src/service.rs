//! What answers the requests of a server.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response};
use tower::{Service, ServiceExt};

/// A response that is being made.
type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A function from requests to responses. What surrounds it is a function around it: a layer of axum would copy all
/// that it surrounds for each request.
#[derive(Clone)]
pub struct HttpService(Arc<dyn Fn(Request) -> Answering + Send + Sync>);

impl HttpService {
    /// A service that answers with `answer`.
    pub fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(answer(request))))
    }

    /// The response to a request.
    pub fn answer(&self, request: Request) -> impl Future<Output = Response> + Send + use<> {
        (self.0)(request)
    }

    /// Changes each request before it is answered.
    #[must_use]
    pub fn preparing(self, prepare: impl Fn(&mut Request) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |mut request| {
            prepare(&mut request);
            (self.0)(request)
        }))
    }
}

impl From<Router> for HttpService {
    fn from(router: Router) -> Self {
        Self::new(move |request| {
            let answering = router.clone().oneshot(request);
            async {
                let Ok(response) = answering.await;
                response
            }
        })
    }
}

impl Service<Request> for HttpService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answering = self.answer(request);
        Box::pin(async { Ok(answering.await) })
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}
