//! Rate limiting: the generic cell rate algorithm (ITU-T I.371), and a table of bounded size with the state of each
//! key. Knows nothing of clients or requests.
//!
//! A crate of its own instead of `governor`, which neither bounds the number of its keys nor asks several limits at
//! once: docs/adr/0028-limits-that-flooding-cannot-grow.md.

mod quota;
mod spending;

pub use quota::{Quota, Standing};
pub use spending::{Refused, Spending};
