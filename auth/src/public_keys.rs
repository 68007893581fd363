//! Answers requests for the public keys over the bus.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Responder;
use bytes::Bytes;

use crate::auth::Auth;

/// Answers with the public keys.
pub(crate) struct PublicKeys(pub(crate) Arc<Auth>);

#[async_trait]
impl Responder for PublicKeys {
    async fn respond(&self, _request: Bytes) -> Bytes {
        let Self(auth) = self;
        auth.renew_keys().await;
        auth.tokens.keyring().jwks().encode().into()
    }
}
