//! Tests a session with an in-memory client of the same library.

use std::time::Duration;

use tungstenite::Bytes;
use tungstenite::protocol::{Role, WebSocketContext};

use super::super::pipe::Pipe;
use super::super::protocol::HIGH_WATER;
use super::*;

struct Client {
    context: WebSocketContext,
    pipe: Pipe,
}

impl Client {
    fn new() -> Self {
        Self { context: WebSocketContext::new(Role::Client, None), pipe: Pipe::default() }
    }

    /// The bytes of this message.
    fn bytes(&mut self, message: Message) -> Vec<u8> {
        let _ = self.context.write(&mut self.pipe, message);
        let _ = self.context.flush(&mut self.pipe);
        self.pipe.outgoing.split().to_vec()
    }

    /// Everything that the session has written.
    fn take(&mut self, session: &mut Session) -> Vec<Message> {
        self.pipe.incoming.extend_from_slice(session.output());
        session.written(session.output().len());
        let mut messages = Vec::new();
        while let Ok(message) = self.context.read(&mut self.pipe) {
            messages.push(message);
        }
        messages
    }
}

fn open(limits: &ApiLimits) -> (Session, Client, Instant) {
    let now = Instant::now();
    (Session::new(limits, Form::V1, now), Client::new(), now)
}

fn lines(texts: &[&str]) -> Request {
    Request::Say(texts.iter().map(|text| ChatText::new(*text).unwrap()).collect())
}

fn code(messages: &[Message]) -> Option<CloseCode> {
    messages.iter().find_map(|message| match message {
        Message::Close(frame) => frame.as_ref().map(|frame| frame.code),
        _ => None,
    })
}

#[test]
fn texts_are_said_and_lists_are_asked_for_in_order_however_the_bytes_are_cut() {
    let texts = ["one", "two\r\nthree\n", "", "\n", "/peers", "/nick x", "/peers\n", "four"];
    for chunk in [1, 2, 7, 1000] {
        let (mut session, mut client, now) = open(&ApiLimits::default());
        let bytes: Vec<u8> = texts.iter().flat_map(|text| client.bytes(Message::text(*text))).collect();
        let mut said = Vec::new();
        for chunk in bytes.chunks(chunk) {
            session.received(chunk, now);
            while let Some(request) = session.next_request(now) {
                match request {
                    Request::Say(texts) => said.extend(texts.iter().map(|text| text.as_str().to_owned())),
                    Request::Peers => said.push("(list)".into()),
                }
            }
        }
        assert_eq!(
            said,
            ["one", "two", "three", "(list)", "/nick x", "(list)", "four"],
            "in chunks of {chunk}"
        );
    }
}

#[test]
fn texts_that_come_together_are_said_together() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    let bytes = [client.bytes(Message::text("one")), client.bytes(Message::text("two"))].concat();
    session.received(&bytes, now);
    assert_eq!(session.next_request(now), Some(lines(&["one", "two"])));
    assert_eq!(session.next_request(now), None);
}

#[test]
fn nothing_more_is_read_while_a_request_waits() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    assert!(session.wants_bytes());
    session.received(&client.bytes(Message::text("one")), now);
    assert!(!session.wants_bytes());
    session.next_request(now).unwrap();
    assert!(session.wants_bytes());
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_gets_no_events() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    session.received(&client.bytes(Message::text("/peers")), now);
    session.send("x".repeat(HIGH_WATER).into());
    assert!(!session.wants_events());
    assert!(!session.wants_bytes());
    assert_eq!(session.next_request(now), None);
    client.take(&mut session);
    assert_eq!(session.next_request(now), Some(Request::Peers));
    assert!(session.wants_events());
}

#[test]
fn a_text_too_long_to_be_said_is_an_error_to_its_speaker() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    for (length, fits) in [(ChatText::MAX, true), (ChatText::MAX + 1, false)] {
        session.received(&client.bytes(Message::text("x".repeat(length))), now);
        assert_eq!(session.next_request(now).is_some(), fits);
        let answer = client.take(&mut session);
        assert_eq!(answer.is_empty(), fits);
        assert!(
            answer
                .iter()
                .all(|text| text.to_text().unwrap().starts_with(r#"{"Error":"a message is at most"#))
        );
    }
}

#[test]
fn what_breaks_the_rules_is_closed_with_its_code() {
    let limits = ApiLimits { message: 1000, ..ApiLimits::default() };
    let mut masked_text = Client::new().bytes(Message::text("x"));
    masked_text[0] |= 0x70;
    let mut not_utf8 = Client::new().bytes(Message::binary(vec![0xff]));
    not_utf8[0] = 0x81;
    let cases = [
        (Client::new().bytes(Message::text("x".repeat(1000))), None),
        (Client::new().bytes(Message::text("x".repeat(1001))), Some(CloseCode::Size)),
        (Client::new().bytes(Message::binary(vec![1])), Some(CloseCode::Unsupported)),
        (masked_text, Some(CloseCode::Protocol)),
        (vec![0x81, 1, b'x'], Some(CloseCode::Protocol)),
        (not_utf8, Some(CloseCode::Invalid)),
    ];
    for (bytes, expected) in cases {
        let (mut session, mut client, now) = open(&limits);
        session.received(&bytes, now);
        assert_eq!(code(&client.take(&mut session)), expected);
        assert_eq!(session.is_open(), expected.is_none());
        if expected.is_some() {
            assert!(session.wants_bytes(), "so that the client can send to its end and then read why");
            session.received(&[0xff; 3000], now);
            assert!(session.output().is_empty());
            assert!(session.timeout(now + limits.closing / 2));
            assert!(!session.timeout(now + limits.closing));
        }
    }
}

#[test]
fn a_close_is_answered_and_ends_it() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    session.received(&client.bytes(Message::Close(None)), now);
    assert!(session.has_ended());
    assert!(matches!(client.take(&mut session)[..], [Message::Close(_)]));
}

#[test]
fn our_close_waits_for_its_answer_but_not_for_ever() {
    let limits = ApiLimits::default();
    let (mut session, mut client, now) = open(&limits);
    session.close(CloseCode::Again, "slow", now);
    session.close(CloseCode::Away, "again", now);
    assert_eq!(code(&client.take(&mut session)), Some(CloseCode::Again));
    assert!(!session.has_ended());
    assert_eq!(session.deadline(), now + limits.closing);
    assert!(!session.timeout(now + limits.closing));

    let answer = client.bytes(Message::text("too late to be said"));
    session.received(&answer, now);
    assert!(session.has_ended(), "the client's library answers a close by itself");
    assert_eq!(session.next_request(now), None);
}

#[test]
fn a_silent_client_is_pinged_and_then_dead() {
    let limits = ApiLimits::default();
    let (mut session, mut client, start) = open(&limits);
    let second = Duration::from_secs(1);
    assert_eq!(session.deadline(), start + 20 * second);
    assert!(session.timeout(start + 19 * second));
    assert!(client.take(&mut session).is_empty());
    assert!(session.timeout(start + 20 * second));
    assert!(matches!(client.take(&mut session)[..], [Message::Ping(_)]));

    // The answer postpones both.
    let pong = client.bytes(Message::Pong(Bytes::new()));
    session.received(&pong, start + 21 * second);
    assert_eq!(session.deadline(), start + 41 * second);
    for at in [41, 61] {
        assert!(session.timeout(start + at * second));
        assert!(matches!(client.take(&mut session)[..], [Message::Ping(_)]));
    }
    assert_eq!(session.deadline(), start + 81 * second);
    assert!(session.timeout(start + 81 * second - Duration::from_millis(1)));
    assert!(!session.timeout(start + 81 * second));
}

#[test]
fn a_ping_is_answered() {
    let (mut session, mut client, now) = open(&ApiLimits::default());
    session.received(&client.bytes(Message::Ping(Bytes::from_static(b"x"))), now);
    assert_eq!(client.take(&mut session), [Message::Pong(Bytes::from_static(b"x"))]);
}

#[test]
fn each_text_of_version_2_is_a_request_of_its_own_and_none_is_white_space() {
    let limits = ApiLimits::default();
    let now = Instant::now();
    for (form, requests, errors) in [(Form::V1, 1, 1), (Form::V2, 2, 2)] {
        let (mut session, mut client) = (Session::new(&limits, form, now), Client::new());
        for text in ["", " \u{a0}", "one\n \ntwo", "three"] {
            session.received(&client.bytes(Message::text(text)), now);
        }
        let said: Vec<_> = std::iter::from_fn(|| session.next_request(now)).collect();
        assert_eq!(said.len(), requests, "{said:?}");
        let texts = said.iter().map(|request| match request {
            Request::Say(texts) => texts.len(),
            Request::Peers => 0,
        });
        assert_eq!(texts.sum::<usize>(), 3);
        let answers = client.take(&mut session);
        assert_eq!(answers.len(), errors, "{answers:?}");
    }
}
