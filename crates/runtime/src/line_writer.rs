//! Writes lines of a log on a thread of its own, so that a slow disk or a pipe that nobody reads holds up no request. What it
//! cannot write in time is dropped and counted. Knows nothing of what the lines say.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// So many bytes of lines wait to be written; one more line is dropped.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// A place to put lines, which are written one after another, each with one write.
#[derive(Clone)]
pub(crate) struct LineWriter(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when there is something to write.
    filled: Condvar,
    /// Told when everything has been written.
    written: Condvar,
    most: usize,
    dropped: IntCounter,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    /// Of these lines, and of the one that is being written.
    bytes: usize,
}

impl LineWriter {
    /// Starts the thread that writes to `target`. Lines that are dropped are counted in `dropped`.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(crate) fn start(target: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        Self::with_room(MOST_WAITING, target, dropped)
    }

    fn with_room(
        most: usize,
        mut target: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            most,
            dropped,
        });
        let writing = Arc::clone(&queue);
        thread::Builder::new()
            .name("access log".to_owned())
            .spawn(move || writing.write_all(&mut target))?;
        Ok(Self(queue))
    }

    /// Waits until all lines have been written, at most so long, and says whether they have.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut waiting = self.0.waiting();
        while waiting.bytes > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let told = self.0.written.wait_timeout(waiting, left);
            waiting = told.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic happens while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > self.most {
            self.dropped.inc();
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.into());
        self.filled.notify_one();
    }

    fn next(&self) -> Box<[u8]> {
        let mut waiting = self.waiting();
        loop {
            match waiting.lines.pop_front() {
                Some(line) => return line,
                None => waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Writes for as long as the process lives. A line that cannot be written, because the disk is full for instance, is
    /// dropped like one for which there is no room.
    fn write_all(&self, target: &mut impl Write) {
        loop {
            let line = self.next();
            if target.write_all(&line).and_then(|()| target.flush()).is_err() {
                self.dropped.inc();
            }
            let mut waiting = self.waiting();
            waiting.bytes -= line.len();
            if waiting.bytes == 0 {
                self.written.notify_all();
            }
        }
    }
}

impl Write for LineWriter {
    /// Takes one line, and never waits for whoever writes it.
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

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A disk that stands still until it is told to go on, and then keeps what it gets.
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

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "Dropped.").unwrap()
    }

    #[test]
    fn a_disk_that_stands_still_holds_up_nobody_and_what_there_is_no_room_for_is_counted() {
        let (go_on, told) = channel();
        let (written, lines) = channel();
        let dropped = counter();
        let disk = Disk { go_on: told, written };
        let mut log = LineWriter::with_room(40, disk, dropped.clone()).unwrap();
        // Nothing is written during this, and yet it ends.
        for number in 0..10 {
            log.write_all(format!("line {number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(dropped.get(), 6, "four lines of nine bytes have room");
        assert!(!log.flush(Duration::from_millis(1)));
        for _ in 0..4 {
            go_on.send(()).unwrap();
        }
        assert!(log.flush(PATIENCE));
        let all: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(all, b"line 000\nline 001\nline 002\nline 003\n");
        // There is room again.
        log.write_all(b"afterwards\n").unwrap();
        go_on.send(()).unwrap();
        assert!(log.flush(PATIENCE));
        assert_eq!(lines.recv().unwrap(), b"afterwards\n");
        assert_eq!(dropped.get(), 6);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted_and_does_not_stop_the_log() {
        let (go_on, told) = channel();
        let (written, _lines) = channel();
        let dropped = counter();
        drop(go_on);
        let disk = Disk { go_on: told, written };
        let mut log = LineWriter::start(disk, dropped.clone()).unwrap();
        for _ in 0..3 {
            log.write_all(b"lost\n").unwrap();
        }
        assert!(log.flush(PATIENCE));
        assert_eq!(dropped.get(), 3);
    }
}
