//! `parked_events`: events that could not be projected, and the later events of their streams.
//! `operator/parked_events.rs` retries them.

use super::table::{Column, Table};

pub(crate) const PARKED_EVENTS: Table = Table {
    name: "parked_events",
    columns: &[
        ("position", Column::Integer),
        ("stream", Column::Text),
        ("version", Column::Integer),
        ("type", Column::Text),
        ("subject", Column::Uuid),
        ("reason", Column::Text),
        ("attempts", Column::Integer),
    ],
};

/// The columns that do not depend on when an event was parked: without the reason and the number of attempts.
pub(crate) const PARKED_EVENTS_WITHOUT_REASON: Table =
    Table { name: PARKED_EVENTS.name, columns: PARKED_EVENTS.columns.split_at(5).0 };
