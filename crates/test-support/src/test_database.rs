//! A PostgreSQL database for one test.

use sqlx::{Connection as _, Executor as _, PgConnection};
use url::Url;

use crate::servers::postgres_url;

/// A database on the server at [`postgres_url`]. It is deleted when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// Creates an empty database.
    ///
    /// # Panics
    /// When there is no server.
    pub async fn create() -> Self {
        let server: Url = postgres_url().parse().unwrap();
        let name = format!("taskledger_test_{}", runtime::new_id().simple());
        run(&server, &format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn url(&self) -> Url {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url
    }

    /// A connection of the driver, with its defaults.
    ///
    /// # Panics
    /// When the server does not accept it.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(self.url().as_str()).await.unwrap()
    }

    /// Runs statements in it.
    ///
    /// # Panics
    /// When one fails.
    pub async fn run(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// Runs statements in another database of the server, so that the settings of this one do not apply.
    ///
    /// # Panics
    /// When one fails.
    pub async fn run_outside(&self, sql: &str) {
        run(&self.server, sql).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // `Drop` cannot wait, and the runtime of the test is about to end.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(run(&server, &sql));
        });
        // It must not panic while the test panics.
        let _ = cleaning.join();
    }
}

async fn run(url: &Url, sql: &str) {
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap_or_else(|error| {
        panic!("this test needs PostgreSQL, at DATABASE_URL or postgres@127.0.0.1:5432: {error}")
    });
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
}
