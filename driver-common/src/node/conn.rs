//! One connection: what is on its way out, and whether it is read.

use std::io;
use std::task::Poll;

use super::ready::ReadyHandle;
use crate::net;
use crate::runtime::Stream;

pub(super) struct Conn<S> {
    stream: S,
    ready: ReadyHandle,
    /// The last frame, of which `sent` bytes are with the operating system; empty when all are.
    frame: Vec<u8>,
    sent: usize,
    /// Writing failed. What the peer sent before can still be read.
    broken: bool,
    phase: Phase,
    /// The node wants no more of it for now.
    pub(super) paused: bool,
    /// It is to be read, but the node's user is behind.
    pub(super) held_back: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// To be closed once the frame is out.
    Flushing,
    /// The sending side has ended; the peer's end is waited for.
    Draining,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The connection is served again when more fits.
    Part,
    /// None was out, or it cannot be sent.
    Nothing,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes. There may be more: the connection is served again.
    Bytes(usize),
    /// So many bytes that nobody wants any more.
    Discarded(usize),
    /// Nothing for now.
    Nothing,
    /// The end, good or bad.
    End,
}

impl<S: Stream> Conn<S> {
    pub(super) fn new(stream: S, ready: ReadyHandle) -> Self {
        net::tune(&stream);
        ready.mark_ready();
        Self {
            stream,
            ready,
            frame: Vec::new(),
            sent: 0,
            broken: false,
            phase: Phase::Open,
            paused: false,
            held_back: false,
        }
    }

    /// Has the connection served again.
    pub(super) fn mark_ready(&self) {
        self.ready.mark_ready();
    }

    /// To be called first when it is served.
    pub(super) fn clear_ready(&self) {
        self.ready.clear_ready();
    }

    /// Takes a frame and writes what fits at once.
    pub(super) fn send(&mut self, frame: Vec<u8>) -> Sent {
        debug_assert!(self.frame.is_empty(), "one frame is out at a time");
        (self.frame, self.sent) = (frame, 0);
        self.write()
    }

    /// Writes on, and ends the sending side once that is asked for and everything is out.
    pub(super) fn write(&mut self) -> Sent {
        let sent = self.write_frame();
        if self.phase == Phase::Flushing && self.frame.is_empty() {
            net::end_sending(&self.stream);
            self.phase = Phase::Draining;
        }
        sent
    }

    fn write_frame(&mut self) -> Sent {
        if self.frame.is_empty() {
            return Sent::Nothing;
        }
        while !self.broken && self.sent < self.frame.len() {
            match self.stream.try_write(&self.frame[self.sent..]) {
                Ok(0) => self.broken = true,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match self.stream.poll_writable(&mut self.ready.context()) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => self.broken = true,
                        Poll::Pending => return Sent::Part,
                    }
                }
                Err(_) => self.broken = true,
            }
        }
        self.frame = Vec::new();
        if self.broken {
            // Its end, if that is all there is left to read, is to be noticed at once.
            self.mark_ready();
            return Sent::Nothing;
        }
        Sent::All
    }

    /// Whether the node still wants what comes.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Reads once, unless reading is paused.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        if self.paused && self.is_open() {
            return Read::Nothing;
        }
        match self.stream.try_read(buffer) {
            Ok(0) => Read::End,
            Ok(count) => {
                self.mark_ready();
                if self.is_open() { Read::Bytes(count) } else { Read::Discarded(count) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match self.stream.poll_readable(&mut self.ready.context()) {
                    Poll::Ready(Ok(())) => self.mark_ready(),
                    Poll::Ready(Err(_)) => return Read::End,
                    Poll::Pending => {}
                }
                Read::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.mark_ready();
                Read::Nothing
            }
            Err(_) => Read::End,
        }
    }

    /// From here on the frame that is out is written, then the sending side ends, and what comes is discarded.
    pub(super) fn close(&mut self) {
        if self.is_open() {
            self.phase = Phase::Flushing;
            self.mark_ready();
        }
    }

    /// Drops the connection and what it has not sent.
    pub(super) fn abort(self) {
        net::discard_unsent(&self.stream);
    }
}
