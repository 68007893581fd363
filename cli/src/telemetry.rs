//! Logs, and spans to a collector where the program was built for that.

use anyhow::Context;
use runtime::{
    LogFormat,
    telemetry::{self, ExtraLayer, LogOptions, Logs},
};
use tokio::runtime::Handle;

use crate::settings::Settings;

/// The settings that can be wrong.
const LOGS: &str = "TASKLEDGER_LOG, TASKLEDGER_SECURITY_LOG, TASKLEDGER_ACCESS_LOG";

fn logs(settings: &Settings, format: LogFormat, extra: Option<ExtraLayer>) -> anyhow::Result<Logs> {
    let options = LogOptions {
        filter: &settings.log.filter,
        format,
        security: settings.log.security_log.as_deref(),
        access: settings.access_log.file.as_deref(),
        sampling: settings.access_log.sampling(),
    };
    telemetry::init(options, extra).context(LOGS)
}

/// What has to be ended in order.
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    exporting: Option<crate::otlp::Exporting>,
    _logs: Logs,
}

impl Telemetry {
    /// Starts to log, and to send spans if a collector is set.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(
        settings: &Settings,
        format: LogFormat,
        role: &str,
        runtime: &Handle,
    ) -> anyhow::Result<Self> {
        let (layer, exporting) = match &settings.log.otlp_endpoint {
            Some(endpoint) => {
                let clock = crate::platform::clock();
                let (spans, exporting) = crate::otlp::start(endpoint, role, clock, runtime.clone())?;
                (Some(Box::new(spans) as ExtraLayer), Some(exporting))
            }
            None => (None, None),
        };
        Ok(Self {
            _logs: logs(settings, format, layer)?,
            exporting,
        })
    }

    /// Starts to log.
    #[cfg(not(feature = "otlp"))]
    pub(crate) fn start(settings: &Settings, format: LogFormat, _: &str, _: &Handle) -> anyhow::Result<Self> {
        anyhow::ensure!(
            settings.log.otlp_endpoint.is_none(),
            "TASKLEDGER_OTLP_ENDPOINT is set, but this program was built without the feature otlp"
        );
        Ok(Self {
            _logs: logs(settings, format, None)?,
        })
    }

    /// Writes and sends what is left. Not to be called on a thread of the runtime.
    pub(crate) fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(exporting) = self.exporting {
            exporting.shut_down();
        }
    }
}
