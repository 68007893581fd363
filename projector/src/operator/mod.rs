//! What an operator does with the read models: looks at their state, deals with parked events, compares the tables with the
//! log, builds them again, and puts them right after the log was restored.

pub(crate) mod parking;
pub(crate) mod rebuild;
pub(crate) mod restore;
pub(crate) mod status;
pub(crate) mod verify;
