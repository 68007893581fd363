//! What somebody tries who means harm, from outside, on every footing.

mod guessing;
