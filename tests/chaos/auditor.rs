//! An auditor who keeps checkpoints of the audit tree while faults happen, and afterwards has the whole tree computed
//! again from the log and compared with all of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::harness::Harness;

const TIMEOUT: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of kept checkpoints, which are spread over the run.
const MAX_KEPT: usize = 40;

/// Keeps different checkpoints, from every gateway, until `stop` is set.
pub(crate) async fn keep_checkpoints(gateways: Vec<String>, stop: Arc<AtomicBool>) -> Vec<String> {
    let http = reqwest::Client::new();
    let mut kept: Vec<String> = Vec::new();
    for gateway in gateways.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(INTERVAL).await;
        let url = format!("{gateway}/audit/checkpoint");
        let Ok(answer) = http.get(url).timeout(TIMEOUT).send().await else {
            continue;
        };
        if answer.status() == 200
            && let Ok(text) = answer.text().await
            && !kept.contains(&text)
            && kept.len() < MAX_KEPT
        {
            kept.push(text);
        }
    }
    kept
}

/// Checks that the tree covers the log and agrees with the log and with every kept checkpoint, which also shows that
/// they are consistent with each other. Returns the number of checkpoints.
pub(crate) async fn the_tree_is_that_of_the_log(harness: &Harness, kept: &[String]) -> usize {
    assert!(!kept.is_empty(), "no checkpoint was served");
    let files = tempfile::tempdir().unwrap();
    let mut arguments = vec!["audit".to_owned(), "verify".to_owned(), "--json".to_owned()];
    for (number, checkpoint) in kept.iter().enumerate() {
        let file = files.path().join(number.to_string());
        std::fs::write(&file, checkpoint).unwrap();
        arguments.extend(["--checkpoint".to_owned(), file.display().to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    harness
        .recovery
        .until("the audit tree covers the log", async || {
            let mut verify = harness.system.lock().await.tool(&arguments);
            let output = tokio::task::spawn_blocking(move || verify.output());
            let output = output.await.unwrap().unwrap();
            let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
                return false;
            };
            assert_eq!(report["differences"], serde_json::json!([]), "the audit tree is not that of the log");
            report["covered"] == report["events"]
        })
        .await;
    kept.len()
}
