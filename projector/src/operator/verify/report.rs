//! The result of comparing the read models with the log.

use events::{Account, Session, Task};

use crate::models::list_of_models;

/// The number of a model's rows in a report.
pub(super) trait Counted {
    fn rows(report: &mut Report) -> &mut u64;
}

macro_rules! report {
    ({} $($model:ident => $table:ident, $about:literal;)+) => {
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Report {
            /// The position up to which the log was folded.
            pub position: u64,
            pub events: u64,
            $(
                #[doc = concat!("Rows of `", stringify!($table), "`.")]
                pub $table: u64,
            )+
            /// Rows of `task_history` up to the position.
            pub history: u64,
            /// Rows of `audit_log` up to the position.
            pub audit: u64,
            /// Rows of `parked_events`.
            pub parked: u64,
            /// The streams that are parked. Their rows are compared with the log up to where they were parked.
            pub parked_streams: u64,
            /// Rows of streams whose payloads were dropped from the log by a command that was interrupted before it
            /// deleted the rows. Nothing shows what they should be.
            pub left_by_drop: u64,
            /// How many positions of the log were not projected after a few seconds of waiting. If not 0, nothing was
            /// compared, and this is the only difference.
            pub behind: u64,
            /// The differences in sentences; the last one counts those beyond the first hundred.
            pub differences: Vec<String>,
        }

        impl Report {
            /// The tables that are folded from streams, and how many rows of each were compared.
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($table), self.$table)),+]
            }
        }

        $(
            impl Counted for $model {
                fn rows(report: &mut Report) -> &mut u64 {
                    &mut report.$table
                }
            }
        )+
    };
}

list_of_models! { report => {} }
