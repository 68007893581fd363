//! Prometheus metrics of one role.

use std::{any::Any, collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// The metrics of one role. Every sample has the label `role`. Requesting the same name again returns the same
/// metric.
#[derive(Clone)]
pub struct Metrics {
    role: &'static str,
    registry: Registry,
    known: Arc<Mutex<HashMap<&'static str, Box<dyn Any + Send>>>>,
}

impl Metrics {
    /// Creates it without any metric.
    pub fn new(role: &'static str) -> Self {
        let labels = HashMap::from([("role".to_owned(), role.to_owned())]);
        // Fails only for an empty prefix.
        let registry = Registry::new_custom(None, Some(labels)).unwrap_or_default();
        Self { role, registry, known: Arc::default() }
    }

    /// Metrics of a process, to which the label `role` is added when they are shown.
    pub(crate) fn without_role() -> Self {
        Self { role: "", registry: Registry::new(), known: Arc::default() }
    }

    /// The role.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// For collectors that the methods here do not create.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A number that only grows.
    pub fn counter(&self, name: &'static str, help: &'static str) -> IntCounter {
        self.metric(name, || IntCounter::new(name, help))
    }

    /// Counters by labels.
    pub fn counter_vec(&self, name: &'static str, help: &'static str, labels: &[&str]) -> IntCounterVec {
        self.metric(name, || IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> IntGauge {
        self.metric(name, || IntGauge::new(name, help))
    }

    /// Gauges by labels.
    pub fn gauge_vec(&self, name: &'static str, help: &'static str, labels: &[&str]) -> IntGaugeVec {
        self.metric(name, || IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A distribution; `buckets` are upper bounds in the unit of the name.
    pub fn histogram(&self, name: &'static str, help: &'static str, buckets: &[f64]) -> Histogram {
        self.metric(name, || Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    /// Distributions by labels.
    pub fn histogram_vec(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        self.metric(name, || {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
        })
    }

    /// Everything in Prometheus text format 0.0.4.
    pub fn encode(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(error = %error, "the metrics cannot be written");
            String::new()
        })
    }

    /// The metric with this name, created and registered when it is new.
    #[expect(
        clippy::expect_used,
        reason = "names and labels are constants: a wrong one fails at the start, in every test of its role"
    )]
    fn metric<M>(&self, name: &'static str, make: impl FnOnce() -> prometheus::Result<M>) -> M
    where
        M: Collector + Clone + Send + 'static,
    {
        let mut known = self.known.lock();
        if let Some(metric) = known.get(name).and_then(|metric| metric.downcast_ref::<M>()) {
            return metric.clone();
        }
        let metric = make().expect("a valid name and valid labels");
        self.registry.register(Box::new(metric.clone())).expect("one kind of metric for each name");
        known.insert(name, Box::new(metric.clone()));
        metric
    }
}

/// Declares a struct of metrics. A field is one metric: its help, its name in the struct, its kind, and the name that
/// Prometheus shows.
///
/// The doc comment of the field is the help of the metric; its lines are joined by spaces. The kind is a method of
/// [`Metrics`], such as `gauge` or `counter_vec`: the field has the type that this method returns. The method gets what
/// stands in parentheses, that is, the name of the metric, then its labels and its buckets if its kind has them. Every
/// field ends with a semicolon.
///
/// The macro adds the function `new`, which is as visible as the struct. It takes a reference to [`Metrics`] and
/// creates all metrics there.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $help:literal])*
                $field_vis:vis $field:ident: $kind:ident($metric:literal $(, $argument:expr)* $(,)?);
            )+
        }
    ) => {
        $(#[$attribute])*
        $vis struct $name {
            $($(#[doc = $help])* $field_vis $field: $crate::metric_types::$kind,)+
        }

        impl $name {
            /// Creates and registers the metrics.
            $vis fn new(metrics: &$crate::Metrics) -> Self {
                Self {
                    $($field: metrics.$kind($metric, $crate::metrics!(@help $($help)*) $(, $argument)*),)+
                }
            }
        }
    };
    (@help) => {
        compile_error!("a metric has no help: write what it measures as a doc comment of its field")
    };
    (@help $($help:literal)+) => {
        concat!($($help),+).trim_start()
    };
}

/// Counts one more in a gauge, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Counted(IntGauge);

impl Counted {
    /// Counts one more in `gauge`.
    pub fn in_gauge(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metrics! {
        /// Metrics of a test.
        struct Attempts {
            /// Attempts
            /// by outcome.
            ended: counter_vec("taskledger_attempts_total", &["outcome"]);
            /// Attempts that go on.
            running: gauge("taskledger_attempts_running");
            /// Time that an attempt took.
            duration: histogram("taskledger_attempt_duration_seconds", &[0.5, 1.0]);
        }
    }

    #[test]
    fn a_declared_metric_has_its_doc_comment_as_its_help() {
        let metrics = Metrics::new("auth");
        let attempts = Attempts::new(&metrics);
        attempts.ended.with_label_values(&["lost"]).inc();
        attempts.running.set(3);
        attempts.duration.observe(0.75);
        let text = metrics.encode();
        for line in [
            "# HELP taskledger_attempts_total Attempts by outcome.",
            r#"taskledger_attempts_total{outcome="lost",role="auth"} 1"#,
            "# HELP taskledger_attempts_running Attempts that go on.",
            r#"taskledger_attempts_running{role="auth"} 3"#,
            r#"taskledger_attempt_duration_seconds_bucket{role="auth",le="0.5"} 0"#,
            r#"taskledger_attempt_duration_seconds_bucket{role="auth",le="1"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_sample_names_its_role_and_a_name_means_one_metric() {
        let metrics = Metrics::new("auth");
        metrics.counter("taskledger_auth_logins_total", "Logins.").inc();
        metrics.clone().counter("taskledger_auth_logins_total", "Logins.").inc();
        let text = metrics.encode();
        assert!(text.contains("taskledger_auth_logins_total{role=\"auth\"} 2\n"), "{text}");
    }
}
