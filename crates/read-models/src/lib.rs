//! What the projector writes into the read models and other roles read back: how text is encoded for searching, how the
//! changes of a task are, and how each database is asked about it.
//!
//! It must not know how events become rows, nor what queries look like.

mod dialect;
mod grams;
mod task_history;
mod task_text;

pub use dialect::Dialect;
pub use grams::{Bit, bits_of_word, signature};
pub use task_history::{PastTask, TaskChange};
pub use task_text::{in_tag_list, search_text, tag_list};
