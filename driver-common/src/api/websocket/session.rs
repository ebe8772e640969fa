//! What a client says and asks over a WebSocket.

use std::collections::VecDeque;
use std::time::Instant;

use proto_core::{ChatText, ChatTextError};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, Utf8Bytes};

use super::protocol::Protocol;
use crate::api::ApiLimits;
use crate::api::said_lines;
use crate::broadcast::{Form, json};

/// A request of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Say(Vec<ChatText>),
    Peers,
}

/// The server's side of a WebSocket.
#[derive(Debug)]
pub(super) struct Session {
    protocol: Protocol,
    form: Form,
    /// At most two: then no more messages are read.
    requests: VecDeque<Request>,
}

impl Session {
    pub(super) fn new(limits: &ApiLimits, form: Form, now: Instant) -> Self {
        Self { protocol: Protocol::new(limits, now), form, requests: VecDeque::new() }
    }

    /// Handles bytes from the client.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) {
        self.protocol.received(bytes, now);
        self.read(now);
    }

    /// The next request of the client. Ask for it when the previous one is done.
    pub(super) fn next_request(&mut self, now: Instant) -> Option<Request> {
        if !self.wants_events() {
            return None;
        }
        if self.requests.is_empty() {
            self.read(now);
        }
        self.requests.pop_front()
    }

    /// Sends a text.
    pub(super) fn send(&mut self, text: Utf8Bytes) {
        self.protocol.send(Message::Text(text));
    }

    /// Starts to close the WebSocket.
    pub(super) fn close(&mut self, code: CloseCode, reason: &'static str, now: Instant) {
        self.protocol.close(code, reason, now);
        self.requests.clear();
    }

    /// The bytes to write.
    pub(super) fn output(&self) -> &[u8] {
        self.protocol.output()
    }

    /// This many bytes were written.
    pub(super) fn written(&mut self, count: usize) {
        self.protocol.written(count);
    }

    /// Whether to read from the client.
    pub(super) fn wants_bytes(&self) -> bool {
        self.protocol.wants_bytes() && (self.requests.is_empty() || !self.is_open())
    }

    /// Whether to hand in an event.
    pub(super) fn wants_events(&self) -> bool {
        self.is_open() && self.protocol.has_room()
    }

    pub(super) fn is_open(&self) -> bool {
        self.protocol.is_open()
    }

    /// Whether only [`output`](Self::output) is left to write.
    pub(super) fn has_ended(&self) -> bool {
        self.protocol.has_ended()
    }

    /// When to call [`timeout`](Self::timeout).
    pub(super) fn deadline(&self) -> Instant {
        self.protocol.deadline()
    }

    /// Handles the passage of time. Returns false if the connection is to be dropped at once.
    pub(super) fn timeout(&mut self, now: Instant) -> bool {
        self.protocol.timeout(now)
    }

    /// The client could not be read until now, so its silence counts from here.
    pub(super) fn reset_silence(&mut self, now: Instant) {
        self.protocol.reset_silence(now);
    }

    /// Reads messages until two requests wait, so that texts that arrive together are sent together.
    fn read(&mut self, now: Instant) {
        while self.requests.len() < 2 {
            match self.protocol.next(now) {
                Some(Message::Text(text)) => self.text(text.as_str()),
                Some(_) => self.close(CloseCode::Unsupported, "only text messages are supported", now),
                None => break,
            }
        }
        if !self.is_open() {
            self.requests.clear();
        }
    }

    fn text(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        if text == "/peers" {
            self.requests.push_back(Request::Peers);
            return;
        }
        match said_lines(text) {
            Ok(lines) => match self.requests.back_mut() {
                // Each text of version 2 has an answer of its own.
                Some(Request::Say(said)) if self.form == Form::V1 => said.extend(lines),
                _ => self.requests.push_back(Request::Say(lines)),
            },
            Err(ChatTextError::Empty) if text.is_empty() && self.form == Form::V1 => {}
            Err(refused) => self.send(json::error(&refused.to_string()).into()),
        }
    }
}

#[cfg(test)]
mod tests;
