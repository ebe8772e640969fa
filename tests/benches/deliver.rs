//! Bytes that came to messages for the user and on to the next node: `Received` in, `Deliver` and `SendFrame` polled,
//! beside decoding alone in the same run.
//!
//! Lines are of 128 bytes and come in chunks of 16 KiB, whose borders cut lines in two. Entries have texts as long: one
//! each, or as many as a burst has that fits one entry.

use std::cell::RefCell;
use std::hint::black_box;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};
use proto_core::wire::{Chunk, Frame, LineReader, MAX_LINE, Parsed, parse};
use proto_core::{Action, ChatText, Config, ConnId, Identity, Input, Instant, Node};
use tests::bench;
use tests::bench::authors::Authors;
use tests::bench::chain::Chain;

const CHUNK: usize = 16 * 1024;
const LINES: u64 = 4096;
/// With its type and its end each message is 128 bytes on the wire.
const TEXT: usize = 128 - "MSG|\n".len();

fn main() {
    let stream = stream();
    assert_eq!(frames_of(&stream), LINES);
    assert_eq!(delivered_by(&mut linked(), &stream), LINES);
    let divan = Divan::from_args();
    if bench::is_smoke() { divan.test_benches() } else { divan.main() }
}

/// The yardstick: `LineReader` and `parse`.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    measure(bencher, frames_of);
}

/// A version 1 peer's lines: each an action that owns its text, and an entry that brings it into the network.
#[divan::bench]
fn lines(bencher: Bencher<'_, '_>) {
    let mut node = linked();
    measure(bencher, |stream| delivered_by(&mut node, stream));
}

/// Entries shown.
#[divan::bench(args = [Said::Singly, Said::InBursts])]
fn entries(bencher: Bencher<'_, '_>, said: Said) {
    measure_entries(bencher, said, 2);
}

/// Entries shown and passed on to one neighbour more.
#[divan::bench(args = [Said::Singly, Said::InBursts])]
fn relayed(bencher: Bencher<'_, '_>, said: Said) {
    measure_entries(bencher, said, 3);
}

/// Entries of one text each, shown: verified one by one, without keys that are kept, or together.
#[divan::bench(args = [1, 50], consts = [false, true])]
fn verified<const TOGETHER: bool>(bencher: Bencher<'_, '_>, authors: u8) {
    let chain = Chain::with(2, |limits| {
        if !TOGETHER {
            (limits.chat.batch, limits.chat.known_keys) = (1, 0);
        }
    });
    let (chain, mut authors) = (RefCell::new(chain), Authors::new(authors));
    let text = ChatText::new("x".repeat(TEXT)).expect("a text");
    let say = || authors.say(TEXTS, &text, chain.borrow().unix_ms());
    bencher.counter(ItemsCount::new(TEXTS)).with_inputs(say).bench_local_values(|bytes: Vec<u8>| {
        assert_eq!(chain.borrow_mut().receive(black_box(&bytes)).delivered, TEXTS);
    });
}

/// How the texts of entries were said.
#[derive(Clone, Copy, Debug)]
enum Said {
    Singly,
    InBursts,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Texts received in one measurement.
const TEXTS: usize = 400;

fn measure_entries(bencher: Bencher<'_, '_>, said: Said, nodes: usize) {
    let chain = RefCell::new(Chain::new(nodes));
    let texts = vec![ChatText::new("x".repeat(TEXT)).expect("a text"); TEXTS];
    let say = || match said {
        Said::Singly => texts.iter().flat_map(|text| chain.borrow_mut().say(vec![text.clone()])).collect(),
        Said::InBursts => chain.borrow_mut().say(texts.clone()),
    };
    bencher.counter(ItemsCount::new(TEXTS)).with_inputs(say).bench_local_values(|bytes: Vec<u8>| {
        let passed = chain.borrow_mut().receive(black_box(&bytes));
        assert!(passed.delivered == TEXTS && (passed.sent > TEXTS * TEXT) == (nodes > 2), "{passed:?}");
    });
}

fn measure(bencher: Bencher<'_, '_>, mut count: impl FnMut(&[u8]) -> u64) {
    let stream = stream();
    let bencher = bencher.counter(BytesCount::of_slice(&stream)).counter(ItemsCount::new(LINES));
    bencher.bench_local(|| count(black_box(&stream)));
}

/// The first line is blank, so that the others do not end where chunks do.
fn stream() -> Vec<u8> {
    let mut stream = vec![b'\n'];
    for _ in 0..LINES {
        Frame::Msg(&"x".repeat(TEXT)).encode(&mut stream);
    }
    stream
}

fn frames_of(stream: &[u8]) -> u64 {
    let mut reader = LineReader::new();
    let mut frames = 0;
    for chunk in stream.chunks(CHUNK) {
        let mut chunk = Chunk::new(chunk);
        while let Some(line) = reader.next_line(&mut chunk, MAX_LINE) {
            match parse(line.expect("the lines are short"), 0) {
                Ok(Parsed::Frame(Frame::Msg(text))) => frames += u64::from(!black_box(text).is_empty()),
                Ok(Parsed::Blank) => {}
                other => unreachable!("the stream holds messages alone, not {other:?}"),
            }
        }
    }
    frames
}

const CONN: ConnId = ConnId(0);

/// A node to which a peer on this machine is linked.
fn linked() -> Node {
    let config = Config::builder("bench".parse().expect("a name")).trust_loopback(true);
    let config = config.build().expect("legal limits");
    let mut node = Node::new(config, Identity::from_secret(&[0; 32]), [0; 32], Instant::ORIGIN);
    let remote = "127.0.0.1:40000".parse().expect("an address");
    node.handle_input(Instant::ORIGIN, Input::accepted(CONN, remote));
    node.handle_input(Instant::ORIGIN, Input::received(CONN, &bench::joiner::join(1)));
    while node.poll_action().is_some() {}
    assert_eq!(node.peers().count(), 1);
    node
}

fn delivered_by(node: &mut Node, stream: &[u8]) -> u64 {
    let mut delivered = 0;
    for bytes in stream.chunks(CHUNK) {
        node.handle_input(Instant::ORIGIN, Input::received(CONN, bytes));
        while let Some(action) = node.poll_action() {
            delivered += u64::from(matches!(black_box(action), Action::Deliver { .. }));
        }
    }
    delivered
}
