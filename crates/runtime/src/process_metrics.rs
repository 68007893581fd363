//! The metrics of a process, not of one role: its use of the machine, its runtime, and what all its roles share, such
//! as the append task, the connection pools and the token checks.
//!
//! The role that shows them adds the label `role`. If all roles are in one process, that is the gateway.

use std::sync::LazyLock;

use prometheus::{TextEncoder, proto::LabelPair};
use tokio::runtime::Handle;

use crate::{metrics::Metrics, signed};

static PROCESS: LazyLock<Metrics> = LazyLock::new(|| {
    let metrics = Metrics::without_role();
    #[cfg(target_os = "linux")]
    {
        let machine = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(error) = metrics.registry().register(Box::new(machine)) {
            tracing::error!(%error, "the process does not show what it uses of the machine");
        }
    }
    metrics
});
static RUNTIME: LazyLock<RuntimeMetrics> = LazyLock::new(|| RuntimeMetrics::new(&PROCESS));

crate::metrics! {
    struct RuntimeMetrics {
        /// Threads that run tasks.
        workers: gauge("taskledger_runtime_workers");
        /// Tasks that have begun and not ended.
        tasks: gauge("taskledger_runtime_tasks");
        /// Tasks that could go on and wait for a thread, apart from those that a thread has taken.
        queued: gauge("taskledger_runtime_queued_tasks");
    }
}

/// The metrics of this process. The role that shows them adds the label `role`.
pub fn process_metrics() -> &'static Metrics {
    &PROCESS
}

/// The metrics of this process as a page of `role` (Prometheus text format 0.0.4).
pub fn encode_process_metrics(role: &str) -> String {
    if let Ok(handle) = Handle::try_current() {
        let runtime = handle.metrics();
        RUNTIME.workers.set(signed(runtime.num_workers()));
        RUNTIME.tasks.set(signed(runtime.num_alive_tasks()));
        RUNTIME.queued.set(signed(runtime.global_queue_depth()));
    }
    let mut families = PROCESS.registry().gather();
    for metric in families.iter_mut().flat_map(|family| family.mut_metric()) {
        let mut label = LabelPair::default();
        label.set_name("role".to_owned());
        label.set_value(role.to_owned());
        let mut labels = metric.take_label();
        labels.push(label);
        metric.set_label(labels);
    }
    TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
        tracing::error!(%error, "the metrics of the process cannot be written");
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_shows_the_process_gives_it_a_role() {
        process_metrics()
            .counter_vec("taskledger_shared_total", "Shared.", &["kind"])
            .with_label_values(&["a"])
            .inc();
        let page = encode_process_metrics("auth");
        for line in [
            r#"taskledger_shared_total{kind="a",role="auth"} 1"#,
            r#"taskledger_runtime_workers{role="auth"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
        #[cfg(target_os = "linux")]
        assert!(page.contains("process_resident_memory_bytes{role=\"auth\"} "), "{page}");
        assert!(encode_process_metrics("gateway").contains(r#"{kind="a",role="gateway"} 1"#));
    }
}
