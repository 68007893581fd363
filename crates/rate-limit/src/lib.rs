//! How often something may happen: the generic cell rate algorithm (ITU-T I.371), and a table of bounded size with what
//! each key has spent. Knows nothing of who is limited, nor of what they ask for.
//!
//! A crate of its own instead of `governor`, which neither bounds the number of its keys nor asks several limits at once:
//! docs/adr/0028-limits-that-flooding-cannot-grow.md.

mod quota;
mod spending;

pub use quota::{Quota, Standing};
pub use spending::{Refused, Spending};
