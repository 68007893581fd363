//! Writes the lines of a log in a separate thread, so that a slow disk or an unread pipe does not delay requests.
//! Lines that cannot be written in time are dropped and counted.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes of lines that wait to be written. Further lines are dropped.
const MAX_WAITING: usize = 4 * 1024 * 1024;
/// The most bytes of lines in one write, so that lines of other processes on the same pipe do not get between them
/// (PIPE_BUF of POSIX).
const MAX_AT_ONCE: usize = 4096;
/// The pause between two log lines about dropped lines.
const COMPLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Queues lines, which are written in their order, several at once.
#[derive(Clone)]
pub(crate) struct LineWriter(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when everything has been written.
    written: Condvar,
    most: usize,
    log: Log,
}

/// The options of a log.
pub(crate) struct Log {
    /// The name of the log, and of its thread.
    pub(crate) name: &'static str,
    /// How long lines are collected before the thread wakes up.
    pub(crate) gather: Duration,
    /// Counts lines that were not written.
    pub(crate) dropped: IntCounter,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The size of these lines and of those that are being written.
    bytes: usize,
}

impl LineWriter {
    /// Starts the thread that writes `log` to `target`. Dropped lines are counted and reported in the log.
    pub(crate) fn start(target: impl Write + Send + 'static, log: Log) -> io::Result<Self> {
        Self::with_room(MAX_WAITING, target, log)
    }

    fn with_room(most: usize, mut target: impl Write + Send + 'static, log: Log) -> io::Result<Self> {
        let name = log.name.to_owned();
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            most,
            log,
        });
        let writing = Arc::clone(&queue);
        thread::Builder::new().name(name).spawn(move || writing.write_all(&mut target))?;
        Ok(Self(queue))
    }

    /// Waits until all lines have been written, at most so long, and says whether they have.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let mut waiting = self.0.waiting.lock();
        let is_unwritten = |waiting: &mut Waiting| waiting.bytes > 0;
        self.0.written.wait_while_for(&mut waiting, is_unwritten, limit);
        waiting.bytes == 0
    }
}

impl Queue {
    fn put(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + line.len() > self.most {
            self.log.dropped.inc();
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.extend_from_slice(line);
        self.filled.notify_one();
    }

    fn next(&self) -> Vec<u8> {
        let is_empty = |waiting: &mut Waiting| waiting.lines.is_empty();
        self.filled.wait_while(&mut self.waiting.lock(), is_empty);
        thread::sleep(self.log.gather);
        std::mem::take(&mut self.waiting.lock().lines)
    }

    /// Writes for as long as the process runs. Lines that cannot be written, for example to a full disk, are dropped.
    fn write_all(&self, target: &mut impl Write) {
        let mut complained: Option<(Instant, u64)> = None;
        loop {
            let lines = self.next();
            let mut rest = &lines[..];
            while !rest.is_empty() {
                let (some, others) = rest.split_at(whole_lines(rest));
                if target.write_all(some).and_then(|()| target.flush()).is_err() {
                    self.log.dropped.inc_by(count_lines(some));
                }
                rest = others;
                self.waiting.lock().bytes -= some.len();
            }
            if self.waiting.lock().bytes == 0 {
                self.written.notify_all();
            }
            let dropped = self.log.dropped.get();
            let (is_soon, known) =
                complained.map_or((false, 0), |(at, dropped)| (at.elapsed() < COMPLAIN_INTERVAL, dropped));
            if dropped > known && !is_soon {
                complained = Some((Instant::now(), dropped));
                tracing::error!(
                    lines = dropped - known,
                    "lines of the {} could not be written in time, or not at all",
                    self.log.name
                );
            }
        }
    }
}

/// The length of the complete lines at the beginning of `lines` that are written at once: at least one line.
fn whole_lines(lines: &[u8]) -> usize {
    let end_of_line = |byte: &u8| *byte == b'\n';
    let some = &lines[..lines.len().min(MAX_AT_ONCE)];
    let last = some.iter().rposition(end_of_line);
    last.or_else(|| lines.iter().position(end_of_line)).map_or(lines.len(), |end| end + 1)
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Write for LineWriter {
    /// Takes one line, without waiting for it to be written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A disk that blocks until it is told to continue, and then stores what is written.
    struct Disk {
        go_on: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go_on.recv().map_err(|_| io::ErrorKind::StorageFull)?;
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(dropped: &IntCounter) -> Log {
        Log { name: "log", gather: Duration::from_millis(5), dropped: dropped.clone() }
    }

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "Dropped.").unwrap()
    }

    #[test]
    fn a_disk_that_stands_still_holds_up_nobody_and_what_there_is_no_room_for_is_counted() {
        let (go_on, told) = channel();
        let (written, lines) = channel();
        let dropped = counter();
        let disk = Disk { go_on: told, written };
        let mut writer = LineWriter::with_room(40, disk, log(&dropped)).unwrap();
        // Nothing is written during this, and still it does not block.
        for number in 0..10 {
            writer.write_all(format!("line {number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(dropped.get(), 6, "four lines of nine bytes have room");
        assert!(!writer.flush(Duration::from_millis(1)));
        for _ in 0..4 {
            go_on.send(()).unwrap();
        }
        assert!(writer.flush(TIMEOUT));
        let all: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(all, b"line 000\nline 001\nline 002\nline 003\n");
        // There is room again.
        writer.write_all(b"afterwards\n").unwrap();
        go_on.send(()).unwrap();
        assert!(writer.flush(TIMEOUT));
        assert_eq!(lines.recv().unwrap(), b"afterwards\n");
        assert_eq!(dropped.get(), 6);
    }

    #[test]
    fn whole_lines_are_written_at_once_as_many_as_no_other_writer_gets_between() {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let (written, lines) = channel();
        let (go_on, told) = channel();
        let mut writer = LineWriter::start(Disk { go_on: told, written }, log(&counter())).unwrap();
        // They are put at once, so that they are taken at once.
        writer.write_all(&line.repeat(10)).unwrap();
        writer.write_all(&[&[b'y'; 9_000][..], b"\n"].concat()).unwrap();
        for _ in 0..4 {
            go_on.send(()).unwrap();
        }
        assert!(writer.flush(TIMEOUT));
        let lengths: Vec<usize> = lines.try_iter().map(|lines| lines.len()).collect();
        assert_eq!(lengths, [4_000, 4_000, 2_000, 9_001]);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted_and_does_not_stop_the_log() {
        let (go_on, told) = channel();
        let (written, _lines) = channel();
        let dropped = counter();
        drop(go_on);
        let disk = Disk { go_on: told, written };
        let mut writer = LineWriter::start(disk, log(&dropped)).unwrap();
        for _ in 0..3 {
            writer.write_all(b"lost\n").unwrap();
        }
        assert!(writer.flush(TIMEOUT));
        assert_eq!(dropped.get(), 3);
    }
}
