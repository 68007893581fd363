//! Sends spans to an OpenTelemetry collector (OTLP over HTTP): requests, token checks and, with `projector=debug` in
//! `TASKLEDGER_LOG`, what was projected. Spans of one trace come from every role. Only with the feature `otlp`.

mod collector;
mod spans;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor},
};
use runtime::Clock;
use tokio::runtime::Handle;
use url::Url;

use self::{collector::Collector, spans::Spans};

/// Maximum number of spans that wait to be sent. Further spans are dropped, so that nothing waits for the collector.
const QUEUE: usize = 2_048;
/// Maximum time that a span waits before a batch is sent.
const DELAY: Duration = Duration::from_secs(1);
/// Maximum time to send the remaining spans at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The running exporter of spans.
pub(crate) struct Exporting(Arc<BatchSpanProcessor>);

/// Starts to send the spans of `role` to the collector at `endpoint`, over connections that run on `runtime`.
pub(crate) fn start(
    endpoint: &Url,
    role: &'static str,
    clock: Arc<dyn Clock>,
    runtime: Handle,
) -> anyhow::Result<(Spans, Exporting)> {
    // The library's error would contain the whole URL.
    anyhow::ensure!(
        matches!(endpoint.scheme(), "http" | "https"),
        "TASKLEDGER_OTLP_ENDPOINT is not the URL of a collector: expected http:// or https://"
    );
    let traces = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(runtime))
        .with_endpoint(traces)
        .build()
        .with_context(|| format!("spans cannot be sent to {}", runtime::masked(endpoint.as_str())))?;
    let pace = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(DELAY).build();
    let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(pace).build();
    let attributes = [
        KeyValue::new("service.namespace", "taskledger"),
        KeyValue::new("service.name", role),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    processor.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
    let processor = Arc::new(processor);
    Ok((Spans::new(Arc::clone(&processor), clock), Exporting(processor)))
}

impl Exporting {
    /// Sends the remaining spans. Must not be called on a thread of the runtime.
    pub(crate) fn shut_down(self) {
        if let Err(error) = self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::mpsc,
    };

    use runtime::SystemClock;
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    /// Takes one export, and says what was in it.
    fn collector() -> (Url, mpsc::Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut part) = (Vec::new(), [0; 4_096]);
            loop {
                let count = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..count]);
                let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
                let length = text.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if request.len() >= head + 4 + length {
                    break;
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            sender.send(request).unwrap();
        });
        (url, receiver)
    }

    fn count(bytes: &[u8], wanted: &[u8]) -> usize {
        bytes.windows(wanted.len()).filter(|window| *window == wanted).count()
    }

    #[test]
    fn spans_of_a_trace_reach_the_collector_under_their_parents() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (url, exported) = collector();
        let (spans, exporting) =
            start(&url, "gateway", Arc::new(SystemClock), runtime.handle().clone()).unwrap();
        tracing::subscriber::with_default(Registry::default().with(spans), || {
            // A span without a trace is not exported.
            let _apart = tracing::info_span!("apart").entered();
            let request =
                tracing::info_span!("request", request.id = "r-1", trace.id = TRACE, trace.parent = PARENT);
            request.in_scope(|| tracing::info_span!("token check").in_scope(|| ()));
        });
        exporting.shut_down();
        let request = exported.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(request.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
        let trace = hex::decode(TRACE).unwrap();
        assert_eq!(count(&request, &trace), 2, "two spans of the trace");
        assert_eq!(count(&request, &hex::decode(PARENT).unwrap()), 1, "one below the client's");
        for text in ["gateway", "token check", "r-1"] {
            assert!(count(&request, text.as_bytes()) > 0, "{text}");
        }
        assert_eq!(count(&request, b"apart"), 0);
    }
}
