//! The stand-in's remote procedures.

#![allow(clippy::result_large_err, reason = "a status is what tonic wants")]

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{mpsc, watch};
use tonic::{
    Request, Response, Status, Streaming,
    codegen::tokio_stream::wrappers::ReceiverStream,
    transport::{Server, server::TcpIncoming},
};
use uuid::Uuid;

use super::{
    convert::{Keep, answer, bounded, event, filter, id, name, start, wrong_version},
    log::{Expected, Log, Proposed, Refused},
    wire::event_store::client::{
        AllStreamPosition, Empty,
        gossip::{
            ClusterInfo, EndPoint, MemberInfo,
            gossip_server::{Gossip, GossipServer},
            member_info::VNodeState,
        },
        server_features::{
            SupportedMethod, SupportedMethods,
            server_features_server::{ServerFeatures, ServerFeaturesServer},
        },
        streams::{
            AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, DeleteReq, DeleteResp, ReadReq, ReadResp,
            TombstoneReq, TombstoneResp,
            append_req::{Content, options::ExpectedStreamRevision},
            append_resp::{
                self, Success,
                success::{CurrentRevisionOption, PositionOption},
            },
            batch_append_req::options::ExpectedStreamPosition,
            batch_append_resp,
            read_req::options::{CountOption, StreamOption, StreamOptions, stream_options::RevisionOption},
            read_resp::{self, CaughtUp, Checkpoint, StreamNotFound, SubscriptionConfirmation},
            streams_server::{Streams, StreamsServer},
        },
    },
    wire::google::rpc::Status as RpcStatus,
};

/// What goes wrong.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) lost_answers: AtomicUsize,
    /// Moves when the subscriptions there are shall fail.
    pub(super) subscriptions: watch::Sender<u64>,
}

struct Service {
    log: Arc<Log>,
    faults: Arc<Faults>,
}

pub(super) async fn serve(listener: TcpListener, log: Arc<Log>, faults: Arc<Faults>) {
    let address = listener.local_addr().expect("an address");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .add_service(
            StreamsServer::new(Service { log, faults }).max_decoding_message_size(super::MAX_MESSAGE_BYTES),
        )
        .add_service(ServerFeaturesServer::new(Node(address)))
        .add_service(GossipServer::new(Node(address)))
        .serve_with_incoming(incoming)
        .await
        .expect("a server");
}

/// A cluster of one.
struct Node(std::net::SocketAddr);

#[tonic::async_trait]
impl ServerFeatures for Node {
    async fn get_supported_methods(&self, _: Request<Empty>) -> Result<Response<SupportedMethods>, Status> {
        Ok(Response::new(SupportedMethods {
            methods: vec![SupportedMethod {
                method_name: "batchappend".to_owned(),
                service_name: "event_store.client.streams.streams".to_owned(),
                features: Vec::new(),
            }],
            event_store_server_version: "25.1.0-stand-in".to_owned(),
        }))
    }
}

#[tonic::async_trait]
impl Gossip for Node {
    async fn read(&self, _: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        let leader = MemberInfo {
            instance_id: None,
            time_stamp: 0,
            state: VNodeState::Leader.into(),
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: self.0.ip().to_string(),
                port: self.0.port().into(),
            }),
        };
        Ok(Response::new(ClusterInfo {
            members: vec![leader],
        }))
    }
}

#[tonic::async_trait]
impl Streams for Service {
    type ReadStream = BoxStream<'static, Result<ReadResp, Status>>;
    type BatchAppendStream = BoxStream<'static, Result<BatchAppendResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let options = request
            .into_inner()
            .options
            .ok_or_else(|| Status::invalid_argument("no options"))?;
        let backwards = options.read_direction == 1;
        let keep = filter(options.filter_option)?;
        let answers = match (options.stream_option, options.count_option) {
            (_, Some(CountOption::Count(0))) => {
                return Err(Status::invalid_argument("count must be positive"));
            }
            (Some(StreamOption::Stream(options)), Some(CountOption::Count(count))) => {
                self.stream(options, bounded(count), backwards)?
            }
            (Some(StreamOption::All(options)), Some(CountOption::Count(count))) => {
                let count = bounded(count);
                match (start(options)?, backwards) {
                    (Some(position), false) => {
                        self.log.all(position, count, keep).map_err(Status::unknown)?
                    }
                    (None, true) => self.log.backwards(count, keep),
                    _ => return Err(Status::unimplemented("not in the stand-in")),
                }
                .into_iter()
                .map(event)
                .collect()
            }
            (Some(StreamOption::All(options)), Some(CountOption::Subscription(_))) => {
                let position = start(options)?.ok_or_else(|| Status::unimplemented("not in the stand-in"))?;
                let (sender, answers) = mpsc::channel(100);
                let mut failed = self.faults.subscriptions.subscribe();
                let log = Arc::clone(&self.log);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = failed.changed() => {
                            let _ = sender.send(Err(Status::unavailable("the server is shutting down"))).await;
                        }
                        _ = follow(&log, position, keep, &sender) => {}
                    }
                });
                return Ok(Response::new(ReceiverStream::new(answers).boxed()));
            }
            _ => return Err(Status::unimplemented("not in the stand-in")),
        };
        let answers: Vec<ReadResp> = answers;
        Ok(Response::new(stream::iter(answers.into_iter().map(Ok)).boxed()))
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        let mut messages = request.into_inner();
        let (mut options, mut events) = (None, Vec::new());
        while let Some(message) = messages.message().await? {
            match message.content {
                Some(Content::Options(header)) => options = Some(header),
                Some(Content::ProposedMessage(event)) => events.push(Proposed {
                    id: id(event.id)?,
                    metadata: event.metadata,
                    custom_metadata: event.custom_metadata,
                    data: event.data,
                }),
                None => return Err(Status::invalid_argument("an empty message")),
            }
        }
        let options = options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let name = name(options.stream_identifier)?;
        let expected = match options.expected_stream_revision {
            Some(ExpectedStreamRevision::Revision(revision)) => Expected::Revision(
                i64::try_from(revision).map_err(|_| Status::invalid_argument("revision out of range"))?,
            ),
            Some(ExpectedStreamRevision::NoStream(_)) => Expected::Revision(-1),
            Some(ExpectedStreamRevision::Any(_)) => Expected::Any,
            _ => return Err(Status::unimplemented("not in the stand-in")),
        };
        let result = match self.log.append(&name, expected, &events) {
            Ok((revision, position)) => append_resp::Result::Success(Success {
                current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
                position_option: Some(PositionOption::Position(append_resp::Position {
                    commit_position: position,
                    prepare_position: position,
                })),
            }),
            Err(Refused::TooLarge) => return Err(Status::invalid_argument("Maximum Append Size exceeded")),
            Err(Refused::WrongVersion(current)) => {
                append_resp::Result::WrongExpectedVersion(wrong_version(current, expected))
            }
        };
        if self.faults.loses_answer() {
            return Err(lost());
        }
        Ok(Response::new(AppendResp { result: Some(result) }))
    }

    async fn delete(&self, _: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        Err(Status::unimplemented("not in the stand-in"))
    }

    async fn tombstone(&self, _: Request<TombstoneReq>) -> Result<Response<TombstoneResp>, Status> {
        Err(Status::unimplemented("not in the stand-in"))
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        let mut requests = request.into_inner();
        let (sender, answers) = mpsc::channel(100);
        let (log, faults) = (Arc::clone(&self.log), Arc::clone(&self.faults));
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let answer = batch(&log, request);
                let is_lost = faults.loses_answer();
                let answer = if is_lost { Err(lost()) } else { answer };
                if sender.send(answer).await.is_err() || is_lost {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers).boxed()))
    }
}

/// One append of a session. A refused one does not end it.
fn batch(log: &Log, request: BatchAppendReq) -> Result<BatchAppendResp, Status> {
    let options = request
        .options
        .ok_or_else(|| Status::invalid_argument("no options"))?;
    if !request.is_final {
        return Err(Status::unimplemented("not in the stand-in"));
    }
    let name = name(options.stream_identifier.clone())?;
    let expected = match options.expected_stream_position {
        Some(ExpectedStreamPosition::StreamPosition(revision)) => Expected::Revision(
            i64::try_from(revision).map_err(|_| Status::invalid_argument("revision out of range"))?,
        ),
        Some(ExpectedStreamPosition::NoStream(())) => Expected::Revision(-1),
        _ => return Err(Status::unimplemented("not in the stand-in")),
    };
    let events = request
        .proposed_messages
        .into_iter()
        .map(|event| {
            Ok(Proposed {
                id: id(event.id)?,
                metadata: event.metadata,
                custom_metadata: event.custom_metadata,
                data: event.data,
            })
        })
        .collect::<Result<Vec<_>, Status>>()?;
    let result = match log.append(&name, expected, &events) {
        Ok((revision, position)) => batch_append_resp::Result::Success(batch_append_resp::Success {
            current_revision_option: Some(
                batch_append_resp::success::CurrentRevisionOption::CurrentRevision(revision),
            ),
            position_option: Some(batch_append_resp::success::PositionOption::Position(
                AllStreamPosition {
                    commit_position: position,
                    prepare_position: position,
                },
            )),
        }),
        Err(refused) => batch_append_resp::Result::Error(RpcStatus {
            code: match refused {
                Refused::WrongVersion(_) => tonic::Code::FailedPrecondition.into(),
                Refused::TooLarge => tonic::Code::InvalidArgument.into(),
            },
            message: "refused".to_owned(),
            details: None,
        }),
    };
    Ok(BatchAppendResp {
        correlation_id: request.correlation_id,
        result: Some(result),
        stream_identifier: options.stream_identifier,
        expected_stream_position: None,
    })
}

fn lost() -> Status {
    Status::unavailable("the connection was lost")
}

impl Faults {
    fn loses_answer(&self) -> bool {
        let lose = |left: usize| left.checked_sub(1);
        self.lost_answers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose)
            .is_ok()
    }
}

impl Service {
    fn stream(&self, options: StreamOptions, count: usize, backwards: bool) -> Result<Vec<ReadResp>, Status> {
        let name = name(options.stream_identifier.clone())?;
        let records = match options.revision_option {
            Some(RevisionOption::Revision(revision)) if i64::try_from(revision).is_ok() && !backwards => {
                self.log.stream(&name, revision, count)
            }
            Some(RevisionOption::Start(_)) if !backwards => self.log.stream(&name, 0, count),
            Some(RevisionOption::End(_)) if backwards => self.log.stream_backwards(&name, count),
            _ => return Err(Status::invalid_argument("revision out of range")),
        };
        Ok(match records {
            Some(records) => records.into_iter().map(event).collect(),
            None => vec![answer(read_resp::Content::StreamNotFound(StreamNotFound {
                stream_identifier: options.stream_identifier,
            }))],
        })
    }
}

/// Sends what comes after `position`, and a checkpoint now and then.
async fn follow(
    log: &Log,
    mut position: u64,
    keep: Keep,
    answers: &mpsc::Sender<Result<ReadResp, Status>>,
) -> Result<(), mpsc::error::SendError<Result<ReadResp, Status>>> {
    let mut length = log.length();
    let confirmation = SubscriptionConfirmation {
        subscription_id: Uuid::now_v7().to_string(),
    };
    answers
        .send(Ok(answer(read_resp::Content::Confirmation(confirmation))))
        .await?;
    loop {
        length.mark_unchanged();
        let page = match log.all(position, 500, |_| true) {
            Ok(page) => page,
            Err(error) => return answers.send(Err(Status::unknown(error))).await,
        };
        let mut is_end = true;
        for record in page {
            if record.position > position {
                is_end = false;
                position = record.position;
                if keep(&record) {
                    answers.send(Ok(event(record))).await?;
                }
            }
        }
        if is_end {
            let content = if position > 0 {
                read_resp::Content::Checkpoint(Checkpoint {
                    commit_position: position,
                    prepare_position: position,
                    timestamp: None,
                })
            } else {
                read_resp::Content::CaughtUp(CaughtUp::default())
            };
            answers.send(Ok(answer(content))).await?;
            tokio::select! {
                _ = length.changed() => {}
                () = answers.closed() => return Ok(()),
            }
        }
    }
}
