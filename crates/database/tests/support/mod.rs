//! A database of one test on the server that `DATABASE_URL` names, or postgres@127.0.0.1:5432 without a password.

#![expect(dead_code, unused_imports, reason = "not every test file needs all of it")]

mod proxy;

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use url::Url;
use uuid::Uuid;

pub(crate) use proxy::Proxy;

/// A database that goes when the test does.
pub(crate) struct Server {
    server: Url,
    pub(crate) name: String,
}

impl Server {
    pub(crate) async fn new() -> Self {
        let server =
            std::env::var("DATABASE_URL").unwrap_or("postgres://postgres@127.0.0.1:5432/postgres".to_owned());
        let server: Url = server.parse().unwrap();
        let name = format!("database_test_{}", Uuid::now_v7().simple());
        run(&server, &format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    pub(crate) fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }

    /// As another role, which has no password.
    pub(crate) fn url_of(&self, role: &str) -> Url {
        let mut url = self.url();
        url.set_username(role).unwrap();
        url.set_password(None).unwrap();
        url
    }

    pub(crate) async fn run(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// From another database of the server, whatever the settings of this one.
    pub(crate) async fn run_outside(&self, sql: &str) {
        run(&self.server, sql).await;
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.url().as_str()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let (server, sql) = (
            self.server.clone(),
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(run(&server, &sql));
        });
        cleaning.join().unwrap();
    }
}

async fn run(url: &Url, sql: &str) {
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
}

/// Waits until `condition` holds, 10 seconds at most.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
