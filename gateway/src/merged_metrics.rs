//! The metrics of the whole system in one page, collected at most once a second.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use http_api::Asker;
use prometheus::IntGaugeVec;
use runtime::{Metrics, encode_process_metrics};
use tokio::{sync::Mutex, time::Instant};

use crate::{metrics_page::Page, upstreams::Backend};

/// How long a page is reused.
const FRESH: Duration = Duration::from_secs(1);

/// Collects the metrics of every role.
#[derive(Clone)]
pub(crate) struct MergedMetrics {
    own: Metrics,
    up: IntGaugeVec,
    backends: Arc<[Arc<Backend>]>,
    /// The last page. Locked while it is collected, so that concurrent requests share one.
    gathered: Arc<Mutex<Option<(Instant, String)>>>,
}

impl MergedMetrics {
    pub(crate) fn new(own: Metrics, backends: impl Into<Arc<[Arc<Backend>]>>) -> Self {
        let up = own.gauge_vec(
            "taskledger_upstream_up",
            "Whether an upstream answered when it was asked for its metrics.",
            &["upstream", "replica"],
        );
        Self { own, up, backends: backends.into(), gathered: Arc::default() }
    }

    pub(crate) async fn text(&self, asker: Asker) -> String {
        let mut gathered = self.gathered.lock().await;
        if let Some((at, text)) = &*gathered
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        let text = self.gather(asker).await;
        *gathered = Some((Instant::now(), text.clone()));
        text
    }

    async fn gather(&self, asker: Asker) -> String {
        let gathered = join_all(self.backends.iter().map(|backend| async {
            let metrics = backend.metrics().await;
            (backend.name(), metrics)
        }))
        .await;
        let mut page = Page::default();
        for (name, replicas) in &gathered {
            for (instance, text) in replicas {
                let place = instance.unwrap_or("in-process");
                let added = match text {
                    Ok(text) if page.add(text, *instance) => Ok(()),
                    Ok(_) => Err("what it answered is not a page of metrics"),
                    Err(reason) => Err(&**reason),
                };
                self.up.with_label_values(&[name, place]).set(i64::from(added.is_ok()));
                if let Err(reason) = added {
                    page.remark(&format!("{name} at {place} is not on this page: {reason}"));
                }
            }
        }
        page.add(&self.own.encode(), None);
        if asker == Asker::Outside {
            page.add(&encode_process_metrics(self.own.role()), None);
        }
        page.text()
    }
}
