//! The log as a file, from any store into any other: one event a line, each with its entry in the audit tree. The
//! last line shows whether anything is missing.
//!
//! `exported_event/` and `line.rs` are the format, which auditors get over HTTP, too. `reading.rs` reads a file and
//! verifies it as far as possible without a store. `export.rs` writes a file, or continues an interrupted one;
//! `import.rs` imports a file into a store. `excerpt.rs` reads and writes some events only. This crate does not know
//! what events mean.

mod excerpt;
mod export;
mod exported_event;
mod import;
mod line;
mod reading;
mod summary;

pub use excerpt::{Excerpt, ExcerptWriter};
pub use export::{Export, ExportError};
pub use exported_event::{ExportedEvent, LineError};
pub use import::{ImportError, Inspection, import, inspect};
pub use line::{End, Line};
pub use reading::{MAX_LINE_BYTES, ReadError, Reader, read_line};
