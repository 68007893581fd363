//! Converts spans of `tracing` that belong to a trace to OpenTelemetry spans. The parent of a span with the fields
//! `trace.id` and `trace.parent` is the span of the caller. The parent of any other is the span around it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use runtime::{Clock, random_bytes};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Name of the span of a request on the side of the server.
const REQUEST: &str = "request";

/// The `tracing` layer that converts spans.
pub(crate) struct Spans {
    processor: Arc<BatchSpanProcessor>,
    clock: Arc<dyn Clock>,
    scope: InstrumentationScope,
}

impl Spans {
    pub(super) fn new(processor: Arc<BatchSpanProcessor>, clock: Arc<dyn Clock>) -> Self {
        Self { processor, clock, scope: InstrumentationScope::builder("taskledger").build() }
    }

    fn now(&self) -> SystemTime {
        let micros = u64::try_from(self.clock.now().as_micros()).unwrap_or_default();
        UNIX_EPOCH + Duration::from_micros(micros)
    }
}

/// A span that has not ended.
struct Open {
    context: SpanContext,
    parent: SpanId,
    parent_is_remote: bool,
    started: SystemTime,
    attributes: Vec<KeyValue>,
}

#[derive(Default)]
struct Fields {
    trace_id: Option<TraceId>,
    parent: Option<SpanId>,
    attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace.id" => self.trace_id = TraceId::from_hex(value).ok(),
            "trace.parent" => self.parent = SpanId::from_hex(value).ok(),
            name => self.attributes.push(KeyValue::new(name, value.to_owned())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.attributes.push(KeyValue::new(field.name(), format!("{value:?}")));
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let around = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<Open>().map(|open| open.context.clone())
        });
        let (trace_id, parent, parent_is_remote) = match (around, fields.trace_id) {
            (Some(around), _) => (around.trace_id(), around.span_id(), false),
            (None, Some(trace_id)) => (trace_id, fields.parent.unwrap_or(SpanId::INVALID), true),
            (None, None) => return,
        };
        span.extensions_mut().insert(Open {
            context: SpanContext::new(
                trace_id,
                SpanId::from_bytes(random_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent,
            parent_is_remote,
            started: self.now(),
            attributes: fields.attributes,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            open.attributes.append(&mut fields.attributes);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let name = span.name();
        self.processor.on_end(SpanData {
            span_context: open.context,
            parent_span_id: open.parent,
            parent_span_is_remote: open.parent_is_remote,
            span_kind: match name {
                REQUEST => SpanKind::Server,
                _ => SpanKind::Internal,
            },
            name: name.into(),
            start_time: open.started,
            end_time: self.now(),
            attributes: open.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        });
    }
}
