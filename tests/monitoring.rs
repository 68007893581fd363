//! Metrics, alert rules and dashboards. The rules and dashboards use only metrics that exist. An installed Prometheus
//! scrapes the running system and answers each of their queries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::support::{Deployment, Person, System, free_port, until};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Panels that have no data as long as there are no errors.
const EMPTY_WHEN_WELL: [&str; 1] = ["Errors"];

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// Title and query of each panel, with Grafana's variables replaced.
fn panels() -> Vec<(String, String)> {
    let dashboard = fs::read_to_string(deploy("grafana/dashboards/taskledger.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| {
            let query = target["expr"].as_str().unwrap();
            (title.to_owned(), query.replace("$__rate_interval", "1m"))
        })
    });
    queries.collect()
}

/// The names of our metrics in a query or on a page.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("taskledger_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Sends requests of every kind as one person.
async fn work(person: &Person) {
    let task = person.post("/tasks", json!({"title": "Watch it"})).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    person.patch(&path, json!({"priority": "high"})).await.expect(200);
    for _ in 0..2 {
        person.get("/tasks").await.expect(200);
        person.get(&path).await.expect(200);
    }
    person.get("/auth/me").await.expect(200);
}

/// The names of all metrics in rules and panels.
fn asked_for() -> BTreeSet<String> {
    let rules = fs::read_to_string(deploy("alerts.yml")).unwrap();
    let mut asked: BTreeSet<String> = names(&rules);
    asked.extend(panels().iter().flat_map(|(_, query)| names(query)));
    asked
}

/// Returns whether the metric is about replicas of roles, and therefore absent when all roles are in one process.
fn is_about_replicas(name: &str) -> bool {
    name.starts_with("taskledger_gateway_upstream_")
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_panels_about_replicas_ask_for_metrics_that_there_are_on_postgres_and_rabbitmq() {
    let system = System::start(Deployment::Servers).await;
    work(&Person::join(&system.base, "ada").await).await;
    let mut asked = asked_for();
    asked.retain(|name| is_about_replicas(name));
    assert!(asked.len() >= 4, "{asked:?}");
    for name in asked {
        // The page leaves out a role that does not answer in time.
        until(&name, TIMEOUT, async || {
            let page = reqwest::get(format!("{}/metrics", system.admin())).await.unwrap();
            names(&page.text().await.unwrap()).contains(&name)
        })
        .await;
    }
    system.stop().await;
}

#[tokio::test]
async fn rules_and_panels_ask_for_metrics_that_there_are() {
    let system = System::start(Deployment::Embedded).await;
    let ada = Person::join(&system.base, "ada").await;
    work(&ada).await;
    let page = reqwest::get(format!("{}/metrics", system.admin())).await.unwrap();
    let page = page.text().await.unwrap();
    let there = names(&page);
    for cause in ["record", "key", "row", "event", "refused", "follows"] {
        // The series exist from the start, so that the first event is seen as an increase.
        let line = page.lines().find(|line| {
            line.starts_with("taskledger_projector_parked_total{")
                && line.contains(&format!("cause=\"{cause}\""))
        });
        assert!(line.is_some_and(|line| line.ends_with(" 0")), "{cause}: {line:?}");
    }
    for outcome in ["made", "destroyed", "damaged", "lost"] {
        let series = format!("taskledger_subject_keys_total{{outcome=\"{outcome}\"");
        assert!(page.contains(&series), "{outcome}");
    }
    let asked = asked_for();
    // Metrics about certificates exist only with TLS, and tls.rs checks them.
    let is_elsewhere = |name: &&String| is_about_replicas(name) || name.starts_with("taskledger_tls_");
    let missing: Vec<_> = asked.difference(&there).filter(|name| !is_elsewhere(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(asked.len() > 30, "{asked:?}");
    system.stop().await;
}

/// A Prometheus server for this test, which ends with it.
struct Prometheus {
    process: Child,
    base: String,
    directory: TempDir,
}

impl Prometheus {
    /// Starts it with `deploy/prometheus.yml`, in which only the address, the interval and the path of the rules are
    /// replaced.
    fn start(program: &str, target: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let configuration = fs::read_to_string(deploy("prometheus.yml")).unwrap();
        let rules = deploy("alerts.yml");
        let mut mine = configuration.clone();
        for (theirs, ours) in [
            ("gateway:9090", target),
            ("scrape_interval: 5s", "scrape_interval: 1s"),
            ("scrape_timeout: 4s", "scrape_timeout: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("- alerts.yml", &format!("- {}", rules.display())),
        ] {
            assert!(mine.contains(theirs), "{theirs} is not in\n{configuration}");
            mine = mine.replace(theirs, ours);
        }
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, mine).unwrap();
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}"), directory }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The answer of its API, or `None` while it does not answer.
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.base), parameters).unwrap();
        let response = reqwest::get(url).await.ok()?;
        let answer: Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
        assert!(
            answer["status"] == "success" || answer["errorType"] == "unavailable",
            "{path} {parameters:?}: {answer}"
        );
        Some(answer["data"].clone())
    }

    async fn query(&self, query: &str) -> Vec<Value> {
        let data = self.ask("query", &[("query", query)]).await.unwrap();
        data["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- Prometheus\n{}", self.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_the_system_on_postgres_and_answers_every_panel_and_rule() {
    // Where there is none, ./test does not run this test.
    let program = std::env::var("PROMETHEUS").unwrap();
    let mut system = System::launched(Deployment::Servers, 2).await;
    system.ready().await;
    let people = [Person::join(&system.base, "ada").await, Person::join(&system.base, "bob").await];
    let target = system.admin().replace("http://", "");
    let prometheus = Prometheus::start(&program, &target);
    // A rate needs two scrapes with requests between them.
    until("everything has been looked at a few times", TIMEOUT, async || {
        for person in &people {
            work(person).await;
        }
        let looks = "count_over_time(taskledger_upstream_up{upstream=\"query-api\"}[5m])";
        match prometheus.ask("query", &[("query", looks)]).await {
            Some(data) => {
                let seen = data["result"].as_array().into_iter().flatten();
                let looks = seen.filter(|series| {
                    let count = series["value"][1].as_str().unwrap_or_default();
                    count.parse::<f64>().unwrap_or_default() >= 4.0
                });
                looks.count() == 2
            }
            None => false,
        }
    })
    .await;
    // The page has labels for the role and the replica.
    for role in ["auth", "command-api", "query-api", "projector"] {
        let by_replica = format!("count by (instance) (process_open_fds{{role=\"{role}\"}})");
        assert_eq!(prometheus.query(&by_replica).await.len(), 2, "{role}");
    }
    for (title, query) in panels() {
        let result = prometheus.query(&query).await;
        assert!(
            !result.is_empty() || EMPTY_WHEN_WELL.contains(&title.as_str()),
            "{title} shows nothing: {query}"
        );
    }
    until("every rule has been tried", TIMEOUT, async || {
        let data = prometheus.ask("rules", &[]).await.unwrap();
        let groups = data["groups"].as_array().unwrap().iter();
        let rules: Vec<&Value> = groups.flat_map(|group| group["rules"].as_array().unwrap()).collect();
        assert!(rules.len() >= 15, "{data}");
        for rule in &rules {
            assert_ne!(rule["health"], "err", "{rule}");
            assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
        }
        rules.iter().all(|rule| rule["health"] == "ok")
    })
    .await;
    system.terminate_all();
    until("it is noticed that the gateway is gone", TIMEOUT, async || {
        let gone = "ALERTS{alertname=\"TaskledgerGatewayGone\"}";
        !prometheus.query(gone).await.is_empty()
    })
    .await;
    system.stop().await;
}
