//! The servers to test on.

/// The PostgreSQL server: `DATABASE_URL`, or postgres@127.0.0.1:5432 without a password.
pub fn postgres_url() -> String {
    std::env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

/// The RabbitMQ server: `AMQP_URL`, or guest@127.0.0.1:5672.
pub fn amqp_url() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}
