//! Laws that hold for any value, and the examples that mark their edges.

mod arbitrary;
mod folds;
mod partitions;
mod text;
