//! Sends the checkpoints of the tree to a witness, and stores its cosignatures.

use std::{str::FromStr, time::Duration};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{Request, StatusCode, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use runtime::Rounds;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transparency_log::{AddCheckpoint, Signature, VerifierKey, cosigned_at};
use url::Url;

use crate::{AuditTree, ReadError, SignedCheckpoint, Tree};

/// The pause between two checkpoints that are sent to a witness, and after a failure.
const PUSH_INTERVAL: Duration = Duration::from_secs(1);
const AFTER_A_FAILURE: Duration = Duration::from_secs(10);
/// The deadline of a response.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest accepted response, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A witness: its public key and its URL. Written `<verifier key>@<URL>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAddress {
    /// Its public key.
    pub key: VerifierKey,
    /// Its submission prefix.
    pub url: Url,
}

impl FromStr for WitnessAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, url) = text.split_once('@').ok_or("expected <verifier key>@<URL>")?;
        let key: VerifierKey = key.parse().map_err(|error| format!("{error}"))?;
        if key.algorithm() != transparency_log::Algorithm::Cosignature {
            return Err("the key is not one for cosignatures".to_owned());
        }
        let mut url = Url::parse(url).map_err(|error| format!("the URL of the witness: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL of the witness: expected http:// or https://".to_owned());
        }
        // The URL is a prefix, to which the path is appended.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { key, url })
    }
}

/// Why a witness has not cosigned.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(
        "it has cosigned a tree of {0} events, which this log does not have: the log was restored, or there are two"
    )]
    Ahead(u64),
    #[error("it has cosigned another tree of {0} events: the log was changed, or there are two")]
    OtherRoot(u64),
    #[error("it answers {0}")]
    Refused(String),
    #[error("its answer has no cosignature of its key")]
    NotCosigned,
    #[error("it does not answer: {0}")]
    Unreachable(String),
    #[error(transparent)]
    Tree(#[from] ReadError),
}

/// Sends the newest checkpoint to `witness` again and again, until `stop` is cancelled.
pub async fn push(tree: AuditTree, witness: WitnessAddress, stop: CancellationToken) {
    let connector =
        HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider());
    let connector = match connector {
        Ok(connector) => connector.https_or_http().enable_http1().build(),
        Err(error) => {
            tracing::error!(%error, "no witness can be asked");
            return;
        }
    };
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let mut state = WitnessState::default();
    let mut rounds = Rounds::every(PUSH_INTERVAL, stop);
    while rounds.next().await {
        if let Err(error) = state.push(&client, &tree, &witness).await {
            let said = error.to_string();
            if state.complaint.as_ref() != Some(&said) {
                tracing::warn!(witness = witness.key.name(), error = said, "a witness does not cosign");
                state.complaint = Some(said);
            }
            rounds.set_next_pause(AFTER_A_FAILURE);
        }
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What this process knows of a witness.
#[derive(Debug, Default)]
struct WitnessState {
    /// The tree, and the size that it has cosigned last.
    cosigned: Option<(u64, u64)>,
    complaint: Option<String>,
}

impl WitnessState {
    async fn push(
        &mut self,
        client: &HttpClient,
        audit: &AuditTree,
        witness: &WitnessAddress,
    ) -> Result<(), PushError> {
        let Some(tree) = audit.newest().await.map_err(ReadError::from)? else {
            return Ok(());
        };
        let Some(signed) = audit.last_checkpoint(&tree).await? else {
            return Ok(());
        };
        let size = signed.checkpoint.size;
        let mut old = match self.cosigned {
            Some((of, cosigned)) if of == tree.id && cosigned == size => return Ok(()),
            Some((of, cosigned)) if of == tree.id => cosigned,
            _ => 0,
        };
        // The second attempt uses the size that the witness returned.
        for _ in 0..2 {
            let (status, answer) = ask(client, audit, &tree, &signed, old, witness).await?;
            match status {
                StatusCode::OK => {
                    let cosignature = cosignature_in(&answer, &signed, witness);
                    let cosignature = cosignature.ok_or(PushError::NotCosigned)?;
                    audit.add_cosignature(&tree, size, &cosignature).await.map_err(ReadError::from)?;
                    self.cosigned = Some((tree.id, size));
                    self.complaint = None;
                    return Ok(());
                }
                StatusCode::CONFLICT => {
                    let shown = old;
                    old = answer
                        .trim()
                        .parse()
                        .map_err(|_| PushError::Refused("409 without a size".to_owned()))?;
                    if old == size && shown == size {
                        return Err(PushError::OtherRoot(size));
                    }
                    if old > tree.size {
                        return Err(PushError::Ahead(old));
                    }
                    if old > size {
                        // Another process has sent a newer one.
                        return Ok(());
                    }
                }
                status => return Err(PushError::Refused(status.to_string())),
            }
        }
        Err(PushError::Refused("409 again".to_owned()))
    }
}

/// The valid cosignature of `witness` in its answer.
fn cosignature_in(answer: &str, signed: &SignedCheckpoint, witness: &WitnessAddress) -> Option<Signature> {
    let signatures = answer.lines().filter_map(|line| line.parse::<Signature>().ok());
    signatures.filter(|line| witness.key.is_of(line)).find(|line| {
        let mut note = signed.note.clone();
        note.signatures = vec![line.clone()];
        matches!(cosigned_at(&note, &witness.key), Ok(Some(_)))
    })
}

async fn ask(
    client: &HttpClient,
    audit: &AuditTree,
    tree: &Tree,
    signed: &SignedCheckpoint,
    old_size: u64,
    witness: &WitnessAddress,
) -> Result<(StatusCode, String), PushError> {
    let proof = audit.consistency(tree, old_size, signed.checkpoint.size).await?;
    let request =
        AddCheckpoint { old_size, proof: proof.unwrap_or_default(), checkpoint: signed.note.clone() };
    let request = Request::post(format!("{}add-checkpoint", witness.url))
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Full::from(request.to_string()))
        .map_err(unreachable)?;
    let answer = async {
        let response = client.request(request).await.map_err(unreachable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(|error| {
            PushError::Unreachable(match error.is::<LengthLimitError>() {
                true => "its answer is too long".to_owned(),
                false => error.to_string(),
            })
        })?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    timeout(DEADLINE, answer).await.unwrap_or_else(|error| Err(unreachable(error)))
}

fn unreachable(error: impl std::error::Error) -> PushError {
    PushError::Unreachable(error.to_string())
}
