//! What the projector and the readers of the read models share: the encoding of texts, tags, roles and changes, the
//! checkpoints and how to wait for them.
//!
//! Knows neither how events become rows, nor the queries.

mod account_row;
mod checkpoints;
mod first_catch_up;
mod grams;
mod log_identity;
mod page;
mod projection;
mod roles;
pub mod task_columns;
mod task_history;
mod task_text;
mod unexpected;

pub use account_row::AccountRow;
pub use checkpoints::{
    CHECKPOINT_CHANNEL, CHECKPOINTS, NotAStep, Step, checkpoints, checkpoints_of, log_point,
};
pub use grams::{Bit, bits_of_word, signature};
pub use log_identity::{LogIdentity, OTHER_LOG};
pub use page::{cut_page, cut_page_of_texts, rows_within};
pub use projection::{CompareError, Projection, Reached, Waited};
pub use roles::{in_role_list, role_list, roles_of_list};
pub use task_history::TaskChange;
pub use task_text::{in_tag_list, search_text, tag_list};
pub use unexpected::unexpected;
