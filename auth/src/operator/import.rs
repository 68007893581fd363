//! Imports the accounts of the former system: addresses, names and bcrypt hashes, which logins replace one by one.
//!
//! It can be interrupted and repeated: existing accounts are not changed.

use std::{collections::HashMap, io::BufRead};

use csv::StringRecord;
use events::{AccountRegistered, CorrelationId, EmailAddress, UserId};
use runtime::new_id;

use super::Operator;
use crate::{
    command_metadata::CommandMetadata,
    domain::Refusal,
    endpoints::{fields::display_name, register::open_account},
    error::CommandError,
    password::{HIGHEST_COST, is_bcrypt},
};

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The number of accounts that were created, or would be.
    pub opened: u64,
    /// The number of addresses that had an account already.
    pub present: u64,
    /// The lines that were left out, and why.
    pub bad: Vec<BadLine>,
}

/// A line that was left out. It never shows the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The number of the line, from 1.
    pub line: u64,
    pub reason: String,
}

struct Candidate {
    line: u64,
    email: EmailAddress,
    registered: AccountRegistered,
}

impl Operator {
    /// Creates an account for each line of `file`: CSV (RFC 4180) with a line of column names, `email`,
    /// `password_hash` and optionally `display_name`. A value cannot span lines, so each line is checked separately.
    /// Without an operation it only reports what it would do.
    ///
    /// # Errors
    /// A sentence: the file cannot be read, the event store cannot be used. Accounts that were created before stay.
    pub async fn import(
        &self,
        file: impl BufRead,
        operation: Option<CorrelationId>,
    ) -> anyhow::Result<Imported> {
        let app = &self.app;
        let mut imported = Imported::default();
        let candidates = read(file, &mut imported.bad)?;
        for candidate in candidates {
            if app.accounts.registered_with(&app.pepper.key_of(&candidate.email)).await?.is_some() {
                imported.present += 1;
                continue;
            }
            let Some(operation) = &operation else {
                imported.opened += 1;
                continue;
            };
            app.prepare_for_hash(&candidate.registered.password_hash).await?;
            let metadata = CommandMetadata::operator(operation.clone());
            let opened =
                open_account(app, &metadata, UserId(new_id()), &candidate.email, &candidate.registered);
            match opened.await {
                Ok(_) => imported.opened += 1,
                Err(CommandError::Refused(Refusal::EmailIsTaken)) => imported.present += 1,
                Err(CommandError::Refused(refusal)) => {
                    imported.bad.push(BadLine { line: candidate.line, reason: refusal.to_string() })
                }
                Err(CommandError::Failed(failure)) => return Err(failure.into()),
            }
        }
        Ok(imported)
    }
}

fn read(file: impl BufRead, bad: &mut Vec<BadLine>) -> anyhow::Result<Vec<Candidate>> {
    let mut lines = (1..).zip(file.split(b'\n'));
    let names = match lines.next() {
        Some((_, line)) => columns(&line?),
        None => Ok(StringRecord::new()),
    };
    let names = names.unwrap_or_default();
    let column = |name: &str| names.iter().position(|column| column.trim() == name);
    let (Some(email), Some(hash)) = (column("email"), column("password_hash")) else {
        anyhow::bail!("the first line must name the columns email and password_hash");
    };
    let name = column("display_name");
    let mut seen = HashMap::new();
    let mut candidates = Vec::new();
    for (line, text) in lines {
        let text = text?;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let record = match columns(&text) {
            Ok(record) => record,
            Err(reason) => {
                let reason = reason.to_owned();
                bad.push(BadLine { line, reason });
                continue;
            }
        };
        let field = |column: usize| record.get(column).unwrap_or_default().trim();
        let candidate = candidate(field(email), field(hash), name.map(field).unwrap_or_default());
        let reason = match candidate {
            Ok((email, registered)) => match seen.insert(email.canonical().to_owned(), line) {
                None => {
                    candidates.push(Candidate { line, email, registered });
                    continue;
                }
                Some(earlier) => format!("has the same address as line {earlier}"),
            },
            Err(reason) => reason,
        };
        bad.push(BadLine { line, reason });
    }
    Ok(candidates)
}

/// The columns of one line. An unclosed quote must not include the next line.
fn columns(line: &[u8]) -> Result<StringRecord, &'static str> {
    if line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        return Err("has a quote that is not closed on the same line");
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    match reader.records().next() {
        Some(Ok(record)) => Ok(record),
        Some(Err(_)) => Err("is not CSV in UTF-8"),
        None => Ok(StringRecord::new()),
    }
}

fn candidate(email: &str, hash: &str, name: &str) -> Result<(EmailAddress, AccountRegistered), String> {
    let address = EmailAddress::parse(email).map_err(|error| format!("email {error}"))?;
    if !is_bcrypt(hash) {
        return Err(format!(
            "password_hash must be one of bcrypt ($2a$, $2b$ or $2y$) with a cost of 4 to {HIGHEST_COST}"
        ));
    }
    let display_name = match name {
        "" => None,
        name => Some(display_name(&name.into()).map_err(|error| format!("display_name {}", error.detail))?),
    };
    let registered =
        AccountRegistered { email: address.as_str().to_owned(), display_name, password_hash: hash.into() };
    Ok((address, registered))
}
