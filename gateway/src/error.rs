//! The errors of upstreams, and the problems that clients see.

use http_api::{Problem, ProblemCode};

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// There was no connection; nothing was sent.
    #[error("cannot connect")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// Every replica has an open circuit, because it left requests without an answer; nothing was sent.
    #[error("every replica has left the last requests without an answer")]
    LeftAlone,
    /// The connection broke before an answer. The request may have taken effect.
    #[error("the connection broke before an answer")]
    Lost(#[source] hyper_util::client::legacy::Error),
    /// There was no answer in time. The request may have taken effect.
    #[error("no answer in time")]
    TimedOut,
    #[error("the answer broke off")]
    BrokenOff,
    #[error("the client stopped sending the body")]
    ClientStalled,
    /// There is no memory left for more of the client's body.
    #[error("there is too much to do to receive the body")]
    Overloaded,
    /// Half of all requests wait for this role already; nothing was sent.
    #[error("too many requests wait for it")]
    TooManyWaiting,
    #[error("the client broke off while sending the body")]
    ClientGone,
    #[error("the request cannot be forwarded")]
    Unforwardable(#[from] http::Error),
}

impl ForwardError {
    /// A short name for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::LeftAlone => "left_alone",
            Self::Lost(_) => "lost",
            Self::TimedOut => "timed_out",
            Self::BrokenOff => "broken_off",
            Self::ClientStalled | Self::ClientGone => "client",
            Self::Overloaded => "overloaded",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Unforwardable(_) => "unforwardable",
        }
    }
}

impl From<ForwardError> for Problem {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::Unreachable(_) | ForwardError::LeftAlone => {
                Self::unavailable("The request was not carried out. Send it again.")
            }
            ForwardError::Lost(_) | ForwardError::TimedOut | ForwardError::BrokenOff => Self::unavailable(
                "It is not known whether the request was carried out. Send it again, with the same Idempotency-Key \
                 if it had one.",
            ),
            ForwardError::ClientStalled => Self::request_timeout(),
            ForwardError::Overloaded | ForwardError::TooManyWaiting => {
                Self::overloaded("The request was not carried out.")
            }
            ForwardError::ClientGone => Self::incomplete_body(),
            ForwardError::Unforwardable(_) => Self::new(ProblemCode::BadRequest),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures::stream;
    use http_api::{BodyLimit, read_body};

    use super::*;

    #[tokio::test]
    async fn a_body_that_breaks_off_is_the_same_problem_as_in_a_role() {
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        let in_a_role = read_body(Body::from_stream(broken), BodyLimit::default()).await;
        let in_a_role = in_a_role.unwrap_err();
        let here = Problem::from(ForwardError::ClientGone);
        assert_eq!(here.code(), in_a_role.code());
        assert_eq!(here.status(), in_a_role.status());
    }
}
