//! Answers requests for the public keys over the bus.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Responder;
use bytes::Bytes;

use crate::app_state::App;

pub(crate) struct PublicKeys(pub(crate) Arc<App>);

#[async_trait]
impl Responder for PublicKeys {
    async fn respond(&self, _request: Bytes) -> Bytes {
        let Self(app) = self;
        app.key_reload.renew().await;
        app.tokens.keyring().jwks().encode().into()
    }
}
