//! Logs, and spans that go to a collector if the program was built with that feature.

use anyhow::Context;
use runtime::telemetry::{self, ExtraLayer, LogOptions, Logs};
use tokio::runtime::Handle;

use crate::settings::Settings;

/// The settings that an error may be about.
const LOGS: &str = "TASKLEDGER_LOG, TASKLEDGER_SECURITY_LOG, TASKLEDGER_ACCESS_LOG";

fn logs(settings: &Settings, extra: Option<ExtraLayer>) -> anyhow::Result<Logs> {
    let options = LogOptions {
        filter: &settings.log.filter,
        format: settings.log.format,
        security: settings.log.security_log.as_deref(),
        access: settings.access_log.file.as_deref(),
        sampling: settings.access_log.sampling(),
    };
    telemetry::init(options, extra).context(LOGS)
}

/// The parts that have to be shut down in order.
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    exporting: Option<crate::otlp::Exporting>,
    _logs: Logs,
}

impl Telemetry {
    /// Starts logging, and sends spans if a collector is set.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(settings: &Settings, role: &'static str, runtime: &Handle) -> anyhow::Result<Self> {
        let (layer, exporting) = match &settings.log.otlp_endpoint {
            Some(endpoint) => {
                let clock = crate::platform::clock();
                let (spans, exporting) = crate::otlp::start(endpoint, role, clock, runtime.clone())?;
                (Some(Box::new(spans) as ExtraLayer), Some(exporting))
            }
            None => (None, None),
        };
        Ok(Self { _logs: logs(settings, layer)?, exporting })
    }

    /// Starts logging.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(settings: &Settings, _: &str, _: &Handle) -> anyhow::Result<Self> {
        anyhow::ensure!(
            settings.log.otlp_endpoint.is_none(),
            "TASKLEDGER_OTLP_ENDPOINT is set, but this program was built without the feature otlp"
        );
        Ok(Self { _logs: logs(settings, None)? })
    }

    /// Writes the remaining log lines and sends the remaining spans. Must not be called on a thread of the runtime.
    pub(crate) fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(exporting) = self.exporting {
            exporting.shut_down();
        }
    }
}
