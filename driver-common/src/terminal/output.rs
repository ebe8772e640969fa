//! Bounded output, written by its own thread. It loses lines only if the device stalls.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::Sender;

/// The limits of one output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The maximum number of queued bytes, including those being written.
    pub(crate) capacity: usize,
    /// An output that takes nothing for this long has stalled.
    pub(crate) stall_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { capacity: 1024 * 1024, stall_time: Duration::from_millis(250) }
    }
}

/// Queues whole lines for a device that may be slow, stopped or closed. Clones share one device.
///
/// Lines are lost only if the device is closed, or if the queue is full and the device has stalled. In the second case
/// they are counted, and a line reports their number when the device makes progress again.
#[derive(Clone)]
pub(crate) struct Output(Arc<Shared>);

struct Shared {
    bounds: Bounds,
    loss_report: LossReport,
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// The device took something, or failed.
    moved: Condvar,
    /// Somebody started to wait for room.
    waited: Condvar,
}

/// How lost lines are reported.
pub(crate) enum LossReport {
    /// In the output itself, where they are missing, by this line.
    Here(fn(u64) -> String),
    /// Elsewhere.
    Elsewhere(Box<dyn Fn(u64) + Send + Sync>),
}

/// What is said of so many lost lines.
pub(crate) fn not_shown(lost: u64) -> String {
    format!("… {lost} {} not shown", if lost == 1 { "line" } else { "lines" })
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Bytes that the writing thread took out of `waiting` and the device has not taken yet.
    writing: usize,
    /// When the device last took something, or was first given something to take.
    progressed_at: Option<Instant>,
    /// Lines lost since the last progress.
    lost: u64,
    closed: bool,
    /// Told when the device is closed.
    on_close: Option<Sender<()>>,
    waiters: Vec<Waker>,
}

impl Output {
    /// Creates an output to this device. Its writes may block for any time.
    pub(crate) fn new(
        device: impl Write + Send + 'static,
        bounds: Bounds,
        loss_report: LossReport,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            bounds,
            loss_report,
            state: Mutex::default(),
            filled: Condvar::new(),
            moved: Condvar::new(),
            waited: Condvar::new(),
        });
        let (writer, watcher) = (shared.clone(), shared.clone());
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || writer.write_all_that_comes(device))?;
        thread::Builder::new().name("output-watch".to_owned()).spawn(move || watcher.watch())?;
        Ok(Self(shared))
    }

    /// Tells when the device turns out to be closed.
    pub(crate) fn tell_close(&self, to: Sender<()>) {
        let mut state = self.0.lock();
        if state.closed {
            // If the channel is full, it was told before.
            let _ = to.try_send(());
        }
        state.on_close = Some(to);
    }

    /// Queues whole lines. Waits for room while the device makes progress.
    pub(crate) async fn write(&self, lines: &str) {
        let mut rest = lines;
        std::future::poll_fn(|context| self.0.poll_write(&mut rest, context)).await;
    }

    /// Queues whole lines. Lines that do not fit are dropped and counted.
    pub(crate) fn offer(&self, lines: &str) {
        let mut state = self.0.lock();
        let rest = self.0.accept(&mut state, lines);
        state.lose(rest);
    }

    /// Waits until the device took everything, has stalled, or `end` has come.
    pub(crate) fn flush(&self, end: Instant) {
        let mut state = self.0.lock();
        while state.len() > 0 && !state.closed {
            let stalled_at = state.progressed_at.map_or(end, |at| at + self.0.bounds.stall_time);
            let left = stalled_at.min(end).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.0.moved, state, Some(left));
        }
    }
}

impl State {
    fn len(&self) -> usize {
        self.waiting.len() + self.writing
    }

    fn lose(&mut self, lines: &str) {
        if !self.closed {
            self.lost += lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
        }
    }

    fn wake(&mut self) {
        self.waiters.drain(..).for_each(Waker::wake);
    }
}

impl Shared {
    /// Waiters are woken only when there is room for many lines.
    fn low_water(&self) -> usize {
        self.bounds.capacity - self.bounds.capacity / 16
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stalled(&self, state: &State) -> bool {
        state.progressed_at.is_some_and(|at| at.elapsed() >= self.bounds.stall_time)
    }

    /// Queues as many whole lines as fit and returns the rest.
    fn accept<'a>(&self, state: &mut State, lines: &'a str) -> &'a str {
        if state.closed {
            return "";
        }
        // Lost lines are reported first, so that the gap stays in one place.
        if state.lost > 0 {
            return lines;
        }
        let room = self.bounds.capacity.saturating_sub(state.len());
        let end = match lines.as_bytes().get(..room) {
            None => lines.len(),
            Some(fits) => fits.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        };
        // A line above the capacity is queued alone.
        let end = if end == 0 && state.len() == 0 {
            lines.find('\n').map_or(lines.len(), |at| at + 1)
        } else {
            end
        };
        if end > 0 {
            if state.len() == 0 {
                state.progressed_at = Some(Instant::now());
            }
            state.waiting.extend_from_slice(&lines.as_bytes()[..end]);
            self.filled.notify_one();
        }
        &lines[end..]
    }

    fn poll_write(&self, rest: &mut &str, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        *rest = self.accept(&mut state, rest);
        if !rest.is_empty() && self.is_stalled(&state) {
            state.lose(rest);
            *rest = "";
        }
        if rest.is_empty() {
            return Poll::Ready(());
        }
        if !state.waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
            state.waiters.push(context.waker().clone());
        }
        self.waited.notify_one();
        Poll::Pending
    }

    fn write_all_that_comes(&self, mut device: impl Write) {
        let mut chunk = Chunk::default();
        let mut bytes = Vec::new();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() {
                state = wait(&self.filled, state, None);
            }
            std::mem::swap(&mut state.waiting, &mut bytes);
            state.writing = bytes.len();
            drop(state);
            if let Err(error) = self.write_to(&mut device, &bytes, &mut chunk) {
                tracing::debug!(%error, "an output is closed");
                return self.close();
            }
            bytes.clear();
        }
    }

    fn write_to(&self, device: &mut impl Write, mut bytes: &[u8], chunk: &mut Chunk) -> io::Result<()> {
        while !bytes.is_empty() {
            let began = Instant::now();
            match device.write(&bytes[..bytes.len().min(chunk.0)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    chunk.adapt(began.elapsed());
                    bytes = &bytes[taken..];
                    self.written(taken);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if may_take_more_later(error.kind()) => thread::sleep(RETRY),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn written(&self, bytes: usize) {
        let mut state = self.lock();
        state.writing -= bytes;
        state.progressed_at = Some(Instant::now());
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            match &self.loss_report {
                LossReport::Elsewhere(report) => report(lost),
                LossReport::Here(line) => state.waiting.extend_from_slice((line(lost) + "\n").as_bytes()),
            }
        }
        if state.len() <= self.low_water() {
            state.wake();
        }
        self.moved.notify_all();
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(to) = &state.on_close {
            // If the channel is full, it was told before.
            let _ = to.try_send(());
        }
        state.lost = 0;
        state.waiting = Vec::new();
        state.wake();
        self.moved.notify_all();
        self.waited.notify_all();
    }

    /// Wakes waiters when the device stalls. The writing thread cannot do so while it is blocked in the device.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.closed {
            let left = match (state.waiters.is_empty(), state.progressed_at) {
                (false, Some(at)) => Some(self.bounds.stall_time.saturating_sub(at.elapsed())),
                _ => None,
            };
            if left == Some(Duration::ZERO) {
                state.wake();
            } else {
                state = wait(&self.waited, state, left);
            }
        }
    }
}

/// The pause before writing again to a device that cannot take anything.
const RETRY: Duration = Duration::from_millis(20);

/// The disk is full, or the descriptor was made non-blocking.
fn may_take_more_later(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WouldBlock)
}

/// The number of bytes to write at once. It is small for a slow device, so that progress is visible.
struct Chunk(usize);

impl Default for Chunk {
    fn default() -> Self {
        Self(Self::MIN)
    }
}

impl Chunk {
    const MIN: usize = 1024;
    const MAX: usize = 16 * 1024;

    fn adapt(&mut self, elapsed: Duration) {
        self.0 = match elapsed.as_millis() {
            0..=4 => (2 * self.0).min(Self::MAX),
            5..=49 => self.0,
            50.. => Self::MIN,
        };
    }
}

fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    limit: Option<Duration>,
) -> MutexGuard<'a, State> {
    match limit {
        None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(limit) => condition.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0,
    }
}

#[cfg(test)]
mod tests;
