//! Bytes that came to messages for the user: `Received` in, `Deliver` polled, beside decoding alone in the same run.
//!
//! Lines of 128 bytes come in chunks of 16 KiB, whose borders cut lines in two.

use std::hint::black_box;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};
use proto_core::wire::{Chunk, Frame, LineReader, MAX_LINE, Parsed, parse};
use proto_core::{Action, Config, ConnId, Identity, Input, Instant, Node};
use tests::bench;

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

/// A whole node: each message an action that owns its text.
#[divan::bench]
fn deliver(bencher: Bencher<'_, '_>) {
    let mut node = linked();
    measure(bencher, |stream| delivered_by(&mut node, stream));
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
    let config = Config::new("bench".parse().expect("a name"));
    let mut node =
        Node::new(config, Identity::from_secret(&[0; 32]), [0; 32], Instant::ORIGIN).expect("legal limits");
    let remote = "127.0.0.1:40000".parse().expect("an address");
    node.handle_input(Instant::ORIGIN, Input::Accepted { conn: CONN, remote });
    node.handle_input(Instant::ORIGIN, Input::Received { conn: CONN, bytes: &bench::joiner::join(1) });
    while node.poll_action().is_some() {}
    assert_eq!(node.peers().count(), 1);
    node
}

fn delivered_by(node: &mut Node, stream: &[u8]) -> u64 {
    let mut delivered = 0;
    for bytes in stream.chunks(CHUNK) {
        node.handle_input(Instant::ORIGIN, Input::Received { conn: CONN, bytes });
        while let Some(action) = node.poll_action() {
            delivered += u64::from(matches!(black_box(action), Action::Deliver { .. }));
        }
    }
    delivered
}
