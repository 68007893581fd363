//! The role from outside, on both databases.

mod audit;
mod bad_requests;
mod changes;
mod events;
mod filters;
mod history;
mod list_etag;
mod long_texts;
mod one_task;
mod own_writes;
mod pages;
mod proof;
mod random_queries;
mod rare;
mod search;
mod sharing;
mod summary;
mod unreadable_rows;

/// Runs an `async fn(Database)` as two tests: `<name>::sqlite` and `<name>::postgres`.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident;)+) => {
        $(
            mod $name {
                #[tokio::test]
                async fn sqlite() {
                    crate::testing::on_sqlite(super::test::$name).await;
                }

                #[tokio::test]
                async fn postgres() {
                    crate::testing::on_postgres(super::test::$name).await;
                }
            }
        )+
    };
}
use on_both;
