//! The differences that a comparison found, limited in number.

use database::DatabaseError;

/// The most differences that are listed; further ones are only counted.
const MAX_LISTED: usize = 100;

/// The difference of a row that cannot be read.
pub(super) fn unreadable(table: &str, key: &str, error: &DatabaseError) -> String {
    format!("{table} has row {key}, which cannot be read: {error}")
}

#[derive(Debug, Default)]
pub(super) struct Differences {
    listed: Vec<String>,
    unlisted: u64,
}

impl Differences {
    pub(super) fn add(&mut self, difference: String) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(difference);
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn list(mut self) -> Vec<String> {
        if self.unlisted > 0 {
            self.listed.push(format!("and {} more", self.unlisted));
        }
        self.listed
    }
}
