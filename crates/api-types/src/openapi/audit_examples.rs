//! Texts that the document shows of the audit: all are of one log with seven events, the last of which is the example
//! of `docs/audit.md`. A test verifies the proof as a client would.

/// The checkpoint of that log.
pub(super) const CHECKPOINT: &str = "\
taskledger.local/01a2d31c4f5b7c2d8e9f0a1b2c3d4e5f
7
q6MTIW7C7WKEOYgkL0YNzl0vsVk45pN5jziUKmr8D08=

— taskledger.local/01a2d31c4f5b7c2d8e9f0a1b2c3d4e5f KpOkHzU41CiC/vYmTkTVHOv0VzHTLt0CR7sn/QFpBZEYeKnX/Syoibwr/zJxoIt/0c0e7lBbDl+SpnawaRfVGynEjwc=
";

/// The leaf hash of its first event, in hexadecimal.
pub(super) const TILE: &str = "d9de27625445003d8a9739a851e3ff8d41c0683630b4d63a88327a6aaa37c409";

/// One line: its last event.
pub(super) const EXPORT: &str = concat!(
    r#"{"event":{"position":7,"stream":"task-0198c5d2-7c00-7000-8000-000000000001","version":1,"#,
    r#""id":"0198c5d2-7c00-7000-8000-000000000002","type":"task.deleted","schema_version":1,"encoding":"json","#,
    r#""recorded_at":1755700000000000,"#,
    r#""metadata_sha256":"4b7c531020b46a05284c1cc2aae3b57c67a568f0c634c6e4869c188c8b05f5be","#,
    r#""data_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"#,
    r#""metadata":"{\"subject\":\"0198c5d2-7c00-7000-8000-000000000003\"}","data":"{}"}"#,
    "\n"
);

/// That the last event is in the log.
pub(super) fn proof() -> String {
    format!(
        "c2sp.org/tlog-proof@v1\nindex 6\nh1nQiQVH85ODhBtWX+ZY0MmaLXZYn+gExLQGD23VALg=\n\
         DcwrZFwA36Izjhx6wsS1cL7aWkdtWINuVeKL3lXmvuE=\n\n{CHECKPOINT}"
    )
}
