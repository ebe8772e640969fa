//! One connection: the frame being sent, and whether the connection is read.

use std::io;
use std::task::Poll;

use proto_core::Instant;
use proto_core::seal::{SealError, Sealer};

use super::channel::{Channel, Opened};
use super::ready::ReadyHandle;
use super::send_window::SendWindow;
use crate::net;
use crate::runtime::Stream;

pub(super) struct Conn<S> {
    stream: S,
    channel: Channel,
    ready: ReadyHandle,
    /// The current frame, of which `sent` bytes were written. Empty if all were.
    frame: Vec<u8>,
    sent: usize,
    window: SendWindow,
    /// Writing failed. Data that the peer sent before can still be read.
    broken: bool,
    phase: Phase,
    /// The node has paused reading.
    pub(super) paused: bool,
    /// Whether this node dialed it.
    pub(super) dialed: bool,
    /// Reading is delayed because the node's user is behind.
    pub(super) held_back: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The sending side is shut down once the frame is written.
    Flushing,
    /// The sending side is shut down. The connection ends with the peer's end of stream.
    Draining,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// This many bytes now. The rest is written when the socket is writable again.
    Part(usize),
    /// There was no frame, or it cannot be sent.
    Nothing,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This many bytes, in clear. If there is more, the connection is served again.
    Bytes(usize),
    /// This many bytes of a seal. What came out of them is in the buffer for that.
    Opened(usize, Opened),
    /// The first byte, which opens a handshake. Nothing is read until the node wants to go on.
    Handshake,
    /// This many bytes, which are discarded.
    Discarded(usize),
    /// Nothing for now.
    Nothing,
    /// The end of the stream, or an error.
    End,
}

impl<S: Stream> Conn<S> {
    pub(super) fn new(stream: S, channel: Channel, ready: ReadyHandle) -> Self {
        let window = SendWindow::new();
        net::tune(&stream);
        net::limit_held(&stream, window.bytes());
        ready.mark_ready();
        Self {
            stream,
            channel,
            ready,
            frame: Vec::new(),
            sent: 0,
            window,
            broken: false,
            phase: Phase::Open,
            paused: false,
            dialed: false,
            held_back: false,
        }
    }

    /// Schedules the connection to be served again.
    pub(super) fn mark_ready(&self) {
        self.ready.mark_ready();
    }

    /// Call this before serving the connection.
    pub(super) fn clear_ready(&self) {
        self.ready.clear_ready();
    }

    /// Takes a frame and writes as much as fits.
    pub(super) fn send(&mut self, now: Instant, frame: Vec<u8>) -> Sent {
        debug_assert!(self.frame.is_empty(), "one frame is out at a time");
        (self.frame, self.sent) = (frame, 0);
        self.write(now)
    }

    /// Continues to write. Shuts down the sending side if that was requested and everything is written.
    pub(super) fn write(&mut self, now: Instant) -> Sent {
        let sent = self.write_frame(now);
        if self.phase == Phase::Flushing && self.frame.is_empty() {
            self.channel.close();
            self.write_out(now);
            if self.broken || !self.channel.has_output() {
                net::end_sending(&self.stream);
                self.phase = Phase::Draining;
            }
        }
        sent
    }

    fn write_frame(&mut self, now: Instant) -> Sent {
        let before = self.sent;
        let is_out = self.write_out(now);
        if self.frame.is_empty() {
            return Sent::Nothing;
        }
        if is_out { self.finish_frame() } else { Sent::Part(self.sent - before) }
    }

    /// Writes what waits in the channel and the rest of the frame. Returns false if the socket takes no more for now.
    fn write_out(&mut self, now: Instant) -> bool {
        while !self.broken && (self.sent < self.frame.len() || self.channel.has_output()) {
            match self.channel.write(&self.stream, &self.frame[self.sent..], self.window.piece()) {
                Ok(count) => {
                    self.sent += count;
                    if self.window.note_taken(now) {
                        net::limit_held(&self.stream, self.window.bytes());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.window.note_blocked(now);
                    match self.stream.poll_writable(&mut self.ready.context()) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => self.broken = true,
                        Poll::Pending => return false,
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a write failed");
                    self.broken = true;
                }
            }
        }
        true
    }

    fn finish_frame(&mut self) -> Sent {
        (self.frame, self.sent) = (Vec::new(), 0);
        if self.broken {
            // The end of the stream may be all that is left to read. It is noticed at once.
            self.mark_ready();
            return Sent::Nothing;
        }
        Sent::All
    }

    /// Whether the node still reads from the connection.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Reads once, unless reading is paused. The plain bytes of a sealed connection go to `plain`.
    pub(super) fn read(&mut self, buffer: &mut [u8], plain: &mut Vec<u8>) -> Read {
        if self.is_open() && (self.paused || self.channel.is_waiting()) {
            return Read::Nothing;
        }
        let limit = self.channel.read_limit().min(buffer.len());
        match self.stream.try_read(&mut buffer[..limit]) {
            Ok(0) => {
                self.channel.end();
                Read::End
            }
            Ok(count) => {
                // A full buffer may have left something behind. An error shows again at the next read.
                if count == limit || self.stream.poll_readable(&mut self.ready.context()).is_ready() {
                    self.mark_ready();
                }
                let waited = self.channel.has_output();
                let read = self.take(&buffer[..count], plain);
                if !waited && self.channel.has_output() {
                    // What a handshake answers is written when the connection is served again.
                    self.mark_ready();
                }
                read
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
            Err(error) => {
                tracing::debug!(%error, "a read failed");
                Read::End
            }
        }
    }

    fn take(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Read {
        if !self.is_open() {
            return Read::Discarded(bytes.len());
        }
        match &mut self.channel {
            Channel::Sealed(sealed) => Read::Opened(bytes.len(), sealed.open(&self.stream, bytes, plain)),
            Channel::Clear => Read::Bytes(bytes.len()),
            undecided => {
                if undecided.decide(bytes[0]) {
                    Read::Handshake
                } else {
                    Read::Bytes(bytes.len())
                }
            }
        }
    }

    /// Goes on with the handshake that the first byte opened.
    pub(super) fn begin_handshake(&mut self, sealer: &Sealer) -> Result<(), SealError> {
        self.mark_ready();
        self.channel.begin(sealer)
    }

    /// Writes the rest of the current frame, then shuts down the sending side. Received data is discarded from now on.
    pub(super) fn close(&mut self) {
        if self.is_open() {
            self.phase = Phase::Flushing;
            self.mark_ready();
        }
    }

    /// Drops the connection and its unsent data.
    pub(super) fn abort(self) {
        net::discard_unsent(&self.stream);
    }
}
