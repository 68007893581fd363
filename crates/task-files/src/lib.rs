//! Tasks as files: JSON, CSV for spreadsheets, and iCalendar for calendars.
//!
//! Reading returns every task with its line, or with the reason why it cannot be read; writing is done one task at a
//! time. Everything is pure: this crate does not open files, and does not fetch or create tasks. The command API
//! decides which titles and tags are valid.

mod csv_file;
mod escaped_list;
mod file_task;
mod ical;
mod ical_content_line;
mod json_file;
mod line_numbers;
#[cfg(test)]
mod round_trip_tests;
mod values;
mod writer;

pub use jiff::tz::TimeZone;

pub use csv_file::as_text as text_for_spreadsheets;
pub use file_task::{Content, FileTask, Format, Found, Unreadable};
pub use writer::Writer;

/// Reads the tasks of a file. Times without a time zone are in `zone`.
///
/// # Errors
/// When it is not a file of this format at all.
pub fn read(format: Format, bytes: &[u8], zone: &TimeZone) -> Result<Content, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        Format::Json => json_file::read(text(bytes)?),
        Format::Csv => csv_file::read(text(bytes)?),
        // Lines may be folded in the middle of a character.
        Format::Ical => ical::read(bytes, zone),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Unreadable(format!("line {line} is not UTF-8: save the file in that encoding"))
    })
}
