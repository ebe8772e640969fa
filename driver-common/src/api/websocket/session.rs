//! A WebSocket as a state machine: bytes and time in, bytes and requests out. It has no socket and no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Buf;
use proto_core::{ChatText, ChatTextError};
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::pipe::Pipe;
use crate::api::ApiLimits;
use crate::broadcast::json;

/// While more than this waits to be written, nothing is read and no event is taken.
const HIGH_WATER: usize = 64 * 1024;

/// A request of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Say(Vec<ChatText>),
    Peers,
}

/// The server's side of a WebSocket.
#[derive(Debug)]
pub(super) struct Session {
    context: WebSocketContext,
    pipe: Pipe,
    /// At most two: then no more messages are read.
    requests: VecDeque<Request>,
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

impl Session {
    pub(super) fn new(limits: &ApiLimits, now: Instant) -> Self {
        // The pipe never blocks. Its size is bounded by `HIGH_WATER` and one message.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(limits.message))
            .max_frame_size(Some(limits.message));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            pipe: Pipe::default(),
            requests: VecDeque::new(),
            phase: Phase::Open,
            last_received: now,
            last_ping: now,
            ping: limits.ping,
            dead: limits.dead,
            closing: limits.closing,
        }
    }

    /// Handles bytes from the client.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) {
        self.last_received = now;
        if matches!(self.phase, Phase::Open | Phase::Closing { .. }) {
            self.pipe.incoming.extend_from_slice(bytes);
            self.read(now);
        }
    }

    /// The next request of the client. Ask for it when the previous one is done.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Request> {
        if self.phase != Phase::Open || !self.has_room() {
            return None;
        }
        if self.requests.is_empty() {
            self.read(now);
        }
        self.requests.pop_front()
    }

    /// Sends a text.
    pub(super) fn send(&mut self, text: Utf8Bytes) {
        if self.phase == Phase::Open {
            self.write(Message::Text(text));
        }
    }

    /// Starts to close the WebSocket.
    pub(super) fn close(&mut self, code: CloseCode, reason: &'static str, now: Instant) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing { until: now + self.closing };
            self.requests.clear();
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            // It fails only if the connection has ended, which `read` detects.
            let _ = self.context.close(&mut self.pipe, Some(frame));
            self.read(now);
        }
    }

    /// The bytes to write.
    pub(super) fn output(&self) -> &[u8] {
        &self.pipe.outgoing
    }

    /// This many bytes were written.
    pub(super) fn written(&mut self, count: usize) {
        self.pipe.outgoing.advance(count);
    }

    /// Whether to read from the client.
    pub(super) fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Open => self.requests.is_empty() && self.has_room(),
            Phase::Closing { .. } | Phase::Discarding { .. } => true,
            Phase::Ended { .. } => false,
        }
    }

    /// Whether to hand in an event.
    pub(super) fn wants_events(&self) -> bool {
        self.phase == Phase::Open && self.has_room()
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether only [`output`](Self::output) is left to write.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// When to call [`timeout`](Self::timeout).
    pub(super) fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Open => self.next_ping().min(self.last_received + self.dead),
            Phase::Closing { until } | Phase::Discarding { until } | Phase::Ended { until } => until,
        }
    }

    /// Handles the passage of time. Returns false if the connection is to be dropped at once.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        if self.phase != Phase::Open {
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

    fn has_room(&self) -> bool {
        self.pipe.outgoing.len() <= HIGH_WATER
    }

    fn next_ping(&self) -> Instant {
        self.last_received.max(self.last_ping) + self.ping
    }

    /// Reads messages until two requests wait, so that texts that arrive together are sent together.
    fn read(&mut self, now: Instant) {
        while self.requests.len() < 2 && (self.has_room() || self.phase != Phase::Open) {
            match self.context.read(&mut self.pipe) {
                Ok(_) if self.phase != Phase::Open => {}
                Ok(Message::Text(text)) => self.text(text.as_str()),
                Ok(Message::Binary(_)) => {
                    self.close(CloseCode::Unsupported, "only text messages are supported", now);
                }
                Ok(Message::Close(_)) => self.phase = Phase::Closing { until: now + self.closing },
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(_)) => break,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    self.phase = Phase::Ended { until: now + self.closing };
                    break;
                }
                Err(error) => {
                    self.fail(&error, now);
                    break;
                }
            }
        }
        // Writes pongs and the answer to a close frame.
        let _ = self.context.flush(&mut self.pipe);
    }

    fn text(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        if text == "/peers" {
            self.requests.push_back(Request::Peers);
            return;
        }
        match ChatText::lines(text) {
            Ok(lines) => match self.requests.back_mut() {
                Some(Request::Say(said)) => said.extend(lines),
                _ => self.requests.push_back(Request::Say(lines)),
            },
            Err(ChatTextError::Empty) => {}
            Err(refused) => self.send(json::error(&refused.to_string()).into()),
        }
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
        self.requests.clear();
        self.phase = Phase::Discarding { until: now + self.closing };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // It fails only if a close frame is already queued.
        let _ = self.context.close(&mut self.pipe, Some(frame));
        self.pipe.incoming.clear();
    }

    fn write(&mut self, message: Message) {
        // It fails only if the connection has ended, which `read` detects. The pipe never blocks.
        let _ = self.context.write(&mut self.pipe, message);
        let _ = self.context.flush(&mut self.pipe);
    }
}

#[cfg(test)]
mod tests;
