//! Writes tasks one after another, in bounded memory.

use std::io::{self, Write};

use api_types::Task;

use crate::{Format, csv_file, ical};

/// Makes spreadsheets read the file as UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of tasks that is being written.
#[derive(Debug)]
pub struct Writer<W> {
    format: Format,
    out: W,
    tasks: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the beginning of a file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn begin(format: Format, mut out: W) -> io::Result<Self> {
        match format {
            Format::Json => out.write_all(b"[")?,
            Format::Csv => {
                out.write_all(BYTE_ORDER_MARK)?;
                csv_file::write_head(&mut out).map_err(of_csv)?;
            }
            Format::Ical => ical::write_head(&mut out)?,
        }
        Ok(Self { format, out, tasks: 0 })
    }

    /// Writes a task.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn task(&mut self, task: &Task) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let between: &[u8] = if self.tasks == 0 { b"\n" } else { b",\n" };
                self.out.write_all(between)?;
                serde_json::to_writer(&mut self.out, task)?;
            }
            Format::Csv => csv_file::write_task(&mut self.out, task).map_err(of_csv)?,
            Format::Ical => ical::write_task(&mut self.out, task)?,
        }
        self.tasks += 1;
        Ok(())
    }

    /// Writes the end, and returns how many tasks there are before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> io::Result<u64> {
        match self.format {
            Format::Json => self.out.write_all(b"\n]\n")?,
            Format::Csv => {}
            Format::Ical => ical::write_end(&mut self.out)?,
        }
        self.out.flush()?;
        Ok(self.tasks)
    }
}

fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
