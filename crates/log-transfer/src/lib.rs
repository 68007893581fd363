//! The log as a file, from any store into any other: one event a line, each with what the audit tree says of it, and at the end
//! a line from which can be told that nothing is missing.
//!
//! `exported_event.rs` and `line.rs` are the format, which auditors get over HTTP, too. `reading.rs` reads a file and checks all
//! that can be checked without a store, and `stored_events.rs` the log. `export.rs` writes one, and goes on with one that was broken off;
//! `import.rs` brings one into a store. `excerpt.rs` does the first two for some events. It must not be known here what events mean.

mod excerpt;
mod export;
mod exported_event;
mod import;
mod line;
mod reading;
mod stored_events;
mod summary;

pub use excerpt::{Excerpt, ExcerptWriter};
pub use export::{Export, ExportError};
pub use exported_event::{ExportedEvent, LineError};
pub use import::{ImportError, Inspection, import, inspect};
pub use line::{End, Line};
pub use reading::{ReadError, Reader};
pub use stored_events::StoredEvents;
