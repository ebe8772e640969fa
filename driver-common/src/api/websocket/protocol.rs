//! The server's side of the WebSocket protocol (RFC 6455) as a state machine: bytes and time in, bytes and messages out. It
//! has no socket and no clock.

use std::time::{Duration, Instant};

use bytes::Buf;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::pipe::Pipe;
use crate::api::ApiLimits;

/// While more than this waits to be written, nothing is read, in bytes.
pub(super) const HIGH_WATER: usize = 64 * 1024;

/// The server's side of a WebSocket, after the opening handshake.
#[derive(Debug)]
pub struct Protocol {
    context: WebSocketContext,
    pipe: Pipe,
    phase: Phase,
    last_received: Instant,
    last_ping: Instant,
    ping: Duration,
    dead: Duration,
    closing: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The close frame is queued. The client's close frame is awaited.
    Closing {
        until: Instant,
    },
    /// The client broke the protocol. Its data is discarded, so that it can read the close frame.
    Discarding {
        until: Instant,
    },
    /// Only queued output is left.
    Ended {
        until: Instant,
    },
}

impl Protocol {
    /// A WebSocket that has just opened.
    pub fn new(limits: &ApiLimits, now: Instant) -> Self {
        // The pipe never blocks. Its size is bounded by `HIGH_WATER` and one message.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(limits.message))
            .max_frame_size(Some(limits.message));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            pipe: Pipe::default(),
            phase: Phase::Open,
            last_received: now,
            last_ping: now,
            ping: limits.ping,
            dead: limits.dead,
            closing: limits.closing,
        }
    }

    /// Takes bytes from the client. Call [`next`](Self::next) until it returns `None`.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        self.last_received = now;
        if self.reads() {
            self.pipe.incoming.extend_from_slice(bytes);
        }
    }

    /// The next text or binary message of the client. `None` until more bytes come, output is written, or time passes.
    pub fn next(&mut self, now: Instant) -> Option<Message> {
        let mut message = None;
        while message.is_none() && self.reads() && (self.has_room() || !self.is_open()) {
            match self.context.read(&mut self.pipe) {
                Ok(_) if !self.is_open() => {}
                Ok(data @ (Message::Text(_) | Message::Binary(_))) => message = Some(data),
                Ok(Message::Close(_)) => self.phase = Phase::Closing { until: now + self.closing },
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(_)) => break,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    self.phase = Phase::Ended { until: now + self.closing };
                }
                Err(error) => self.fail(&error, now),
            }
        }
        // Writes pongs and the answer to a close frame.
        let _ = self.context.flush(&mut self.pipe);
        message
    }

    /// Sends a message.
    pub fn send(&mut self, message: Message) {
        if self.is_open() {
            self.write(message);
        }
    }

    /// Starts to close the WebSocket.
    pub fn close(&mut self, code: CloseCode, reason: &'static str, now: Instant) {
        if self.is_open() {
            self.phase = Phase::Closing { until: now + self.closing };
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            // It fails only if the connection has ended, which `next` detects.
            let _ = self.context.close(&mut self.pipe, Some(frame));
            // While it closes, nothing comes out.
            let _ = self.next(now);
        }
    }

    /// The bytes to write.
    pub fn output(&self) -> &[u8] {
        &self.pipe.outgoing
    }

    /// This many bytes were written.
    pub fn written(&mut self, count: usize) {
        self.pipe.outgoing.advance(count);
    }

    /// Whether to read from the client.
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Open => self.has_room(),
            Phase::Closing { .. } | Phase::Discarding { .. } => true,
            Phase::Ended { .. } => false,
        }
    }

    /// Whether messages can be sent and received.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether only [`output`](Self::output) is left to write.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// When to call [`timeout`](Self::timeout).
    pub fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Open => self.next_ping().min(self.last_received + self.dead),
            Phase::Closing { until } | Phase::Discarding { until } | Phase::Ended { until } => until,
        }
    }

    /// Handles the passage of time. Returns false if the connection is to be dropped at once.
    pub fn timeout(&mut self, now: Instant) -> bool {
        if !self.is_open() {
            return now < self.deadline();
        }
        if now >= self.last_received + self.dead {
            return false;
        }
        if now >= self.next_ping() {
            self.last_ping = now;
            self.write(Message::Ping(Bytes::new()));
        }
        true
    }

    /// The client could not be read until now, so its silence counts from here.
    pub(super) fn reset_silence(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Whether there is room for more output.
    pub(super) fn has_room(&self) -> bool {
        self.pipe.outgoing.len() <= HIGH_WATER
    }

    /// Whether frames of the client count.
    fn reads(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing { .. })
    }

    fn next_ping(&self) -> Instant {
        self.last_received.max(self.last_ping) + self.ping
    }

    /// Handles a protocol error of the client.
    fn fail(&mut self, error: &Error, now: Instant) {
        let (code, reason) = match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                (CloseCode::Size, "the message is too long")
            }
            Error::Utf8(_) => (CloseCode::Invalid, "a text message must be UTF-8"),
            _ => (CloseCode::Protocol, "protocol error (RFC 6455)"),
        };
        tracing::debug!(%error, "a WebSocket client broke the protocol");
        self.phase = Phase::Discarding { until: now + self.closing };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // It fails only if a close frame is already queued.
        let _ = self.context.close(&mut self.pipe, Some(frame));
        self.pipe.incoming.clear();
    }

    fn write(&mut self, message: Message) {
        // It fails only if the connection has ended, which `next` detects. The pipe never blocks.
        let _ = self.context.write(&mut self.pipe, message);
        let _ = self.context.flush(&mut self.pipe);
    }
}
