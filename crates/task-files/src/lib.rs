//! Tasks as files: JSON, CSV for spreadsheets, and iCalendar for calendars.
//!
//! Reading finds every task with the line that it begins on, and says of each that cannot be read why; writing is done a task at a
//! time. Pure: it must not be known here where files are, nor how tasks are fetched and created. What a title or a tag may
//! be is the command API's to say.

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

/// Reads the tasks of a file. Times without a zone of their own are of `zone`.
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
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Unreadable(format!(
            "line {line} is not UTF-8: save the file in that encoding"
        ))
    })
}
