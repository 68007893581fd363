//! nginx, as an upstream and as a reverse proxy to it, with as many workers as the machine has cores.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::system::{free_port, get};

/// A running nginx, which is stopped when this is dropped.
pub(super) struct Nginx {
    address: String,
    process: Child,
    _directory: TempDir,
}

impl Nginx {
    /// Starts an upstream that answers every request with one kibibyte of JSON.
    pub(super) fn upstream() -> anyhow::Result<Self> {
        let members = 1_024 - r#"{"filled":""}"#.len();
        let body = format!(r#"{{"filled":"{}"}}"#, "x".repeat(members));
        Self::start("", "", &format!("default_type application/json; return 200 '{body}';"))
    }

    /// Starts a proxy that forwards every request and does nothing else.
    pub(super) fn proxy(upstream: &Self) -> anyhow::Result<Self> {
        Self::start(&keep_alive(upstream), "access_log off;", PASS)
    }

    /// Starts a proxy with a limit for each address and one for each token, which are not reached, and a log in JSON.
    /// It gathers lines up to the size that the gateway writes at once.
    pub(super) fn limited_and_logged(upstream: &Self) -> anyhow::Result<Self> {
        let zones = "limit_req_zone $binary_remote_addr zone=address:10m rate=1000000r/s; \
                     limit_req_zone $http_authorization zone=user:10m rate=1000000r/s; \
                     log_format lines escape=json '{\"time\":\"$time_iso8601\",\"request_id\":\"$request_id\",\
                     \"client\":\"$remote_addr\",\"method\":\"$request_method\",\"path\":\"$uri\",\"status\":$status,\
                     \"bytes\":$body_bytes_sent,\"duration\":$request_time,\"upstream\":\"$upstream_response_time\",\
                     \"limit\":\"$limit_req_status\",\"user_agent\":\"$http_user_agent\"}';";
        let limits = "access_log access.log lines buffer=4k flush=1s; limit_req zone=address burst=100000 nodelay; \
                      limit_req zone=user burst=100000 nodelay;";
        Self::start(&format!("{zones} {}", keep_alive(upstream)), limits, PASS)
    }

    fn start(http: &str, server: &str, location: &str) -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let file = directory.path().join("nginx.conf");
        let place = directory.path().display();
        std::fs::write(
            &file,
            format!(
                "daemon off; worker_processes auto; worker_rlimit_nofile 20000; pid {place}/pid; error_log {place}/error.log warn; \
                 events {{ worker_connections 8192; }} \
                 http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {place}/body; \
                 proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; \
                 scgi_temp_path {place}/scgi; {http} \
                 server {{ listen {address} reuseport; {server} location / {{ {location} }} }} }}"
            )
            .replace("access_log access.log", &format!("access_log {place}/access.log")),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nginx is not here: Debian has it in the package nginx-light")?;
        Ok(Self { address, process, _directory: directory })
    }

    /// Waits until it answers.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while get(&self.address, "/").await.is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                bail!("nginx does not answer at {}", self.address);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // After a normal signal it stops its workers too.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

const PASS: &str = "proxy_pass http://roles; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

/// The configuration that reuses connections to the upstream, as the gateway does.
fn keep_alive(upstream: &Nginx) -> String {
    format!("upstream roles {{ server {}; keepalive 128; keepalive_requests 100000000; }}", upstream.address)
}
