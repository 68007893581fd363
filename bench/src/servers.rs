//! The servers for the measurements, and databases on them.

use anyhow::Context;
use sqlx::{Connection as _, PgConnection};
use url::Url;

/// A PostgreSQL database for this run.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
}

impl Database {
    pub(crate) async fn create() -> anyhow::Result<Self> {
        let name = format!("taskledger_bench_{}", uuid::Uuid::now_v7().simple());
        execute(&format!("CREATE DATABASE {name}")).await?;
        let mut url = Url::parse(&postgres_url())?;
        url.set_path(&name);
        Ok(Self { url: url.to_string(), name })
    }

    pub(crate) async fn drop(self) -> anyhow::Result<()> {
        execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }
}

pub(crate) fn postgres_url() -> String {
    std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

pub(crate) fn amqp_url() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

async fn execute(sql: &str) -> anyhow::Result<()> {
    let mut connection =
        PgConnection::connect(&postgres_url()).await.context("cannot connect to PostgreSQL")?;
    sqlx::query(sql).execute(&mut connection).await?;
    Ok(())
}
