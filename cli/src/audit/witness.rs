//! Runs a witness, which cosigns the checkpoints of logs that it knows (C2SP `tlog-witness`).

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use audit_tree::{Refused, Witness as Cosigner};
use axum::http::{StatusCode, header};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Args;
use transparency_log::VerifierKey;

use crate::{
    output, platform,
    serving::{ClientKind, Listener, Process, until_stopped},
    settings::{Settings, listen_address},
};

/// The largest request. A checkpoint with a proof has a few kilobytes.
const MAX_BYTES: usize = 64 * 1024;
const FORKED: &str = "a log has shown a checkpoint that does not go on from the one that was cosigned last";

#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// Directory of its key and of what it has cosigned last
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Its name, best a domain and a path
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Public key of a log, as `taskledger audit key` shows it; several times for several
    #[arg(long, required = true, value_name = "KEY")]
    log_key: Vec<VerifierKey>,
    /// Address to take checkpoints on
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS", value_parser = listen_address)]
    address: SocketAddr,
}

impl Witness {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let witness = Cosigner::open(&self.dir, &self.name, self.log_key.clone(), platform::clock())?;
        let listener = Listener::open(self.address, ClientKind::Anyone).await?;
        let process = Process::new(settings).await?;
        let (key, scheme, address) = (witness.key(), process.scheme(), listener.address());
        output::line(&format!("{key}@{scheme}://{address}/"))?;
        let router = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .route("/{origin_hash}/checkpoint", get(checkpoint))
            .layer(DefaultBodyLimit::max(MAX_BYTES))
            .with_state(Arc::new(witness));
        until_stopped(vec![(listener, router.into())], process, None).await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn add_checkpoint(State(witness): State<Arc<Cosigner>>, body: Bytes) -> Response {
    let cosign = move || match std::str::from_utf8(&body) {
        Ok(request) => witness.add_checkpoint(request),
        Err(_) => Err(Refused::Malformed("it is not UTF-8".to_owned())),
    };
    let answer = tokio::task::spawn_blocking(cosign).await;
    let refused = match answer.unwrap_or_else(|error| Err(Refused::Failed(error.to_string()))) {
        Ok(line) => return ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response(),
        Err(refused) => refused,
    };
    let status = match &refused {
        Refused::Malformed(_) => StatusCode::BAD_REQUEST,
        Refused::UnknownOrigin => StatusCode::NOT_FOUND,
        Refused::Untrusted => StatusCode::FORBIDDEN,
        Refused::Conflict { size } => return conflict(*size),
        Refused::OtherRoot { size } => {
            tracing::error!("{FORKED}");
            return conflict(*size);
        }
        Refused::Inconsistent => {
            tracing::error!("{FORKED}");
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Refused::Failed(error) => {
            tracing::error!(error, "a checkpoint was not cosigned");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, format!("{refused}\n")).into_response()
}

/// Answers with the size of the checkpoint that was cosigned last.
fn conflict(size: u64) -> Response {
    let size_of_last = [(header::CONTENT_TYPE, "text/x.tlog.size")];
    (StatusCode::CONFLICT, size_of_last, format!("{size}\n")).into_response()
}

async fn checkpoint(State(witness): State<Arc<Cosigner>>, Path(origin_hash): Path<String>) -> Response {
    let read = tokio::task::spawn_blocking(move || witness.checkpoint(&origin_hash)).await;
    match read {
        Ok(Ok(Some(note))) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note.to_string()).into_response()
        }
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
