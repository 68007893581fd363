//! What is logged: only what somebody wants, and when a process ends, all of it.

use std::{fs, panic, time::Duration};

use runtime::{
    LogFormat,
    telemetry::{self, ACCESS, LogOptions, SECURITY, Sampling},
};

#[test]
fn a_panic_loses_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let (security, access) = (directory.path().join("security"), directory.path().join("access"));
    let options = LogOptions {
        filter: "info",
        format: LogFormat::Json,
        security: Some(&security),
        access: Some(&access),
        sampling: Sampling { one_in: 1, slow: Duration::from_secs(1) },
    };
    let logs = telemetry::init(options, None).unwrap();
    assert!(!tracing::info_span!("request").is_disabled());
    assert!(tracing::debug_span!("request").is_disabled(), "nobody looks at it");
    let ended = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let _logs = logs;
        for _ in 0..1_000 {
            tracing::info!(target: SECURITY, "somebody tried");
            tracing::info!(target: ACCESS, "somebody asked");
        }
        panic!("the process ends");
    }));
    assert!(ended.is_err());
    for file in [security, access] {
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1_000, "{file:?}");
    }
}
