//! Chat messages out of a stream of bytes, beside yardsticks that read the same bytes in the same run.
//!
//! Lines of 128 bytes come in chunks of 16 KiB, whose borders cut lines in two. Only [`frames`] checks what it reads.

use std::hint::black_box;
use std::io::BufRead;

use divan::Bencher;
use divan::counter::BytesCount;
use memchr::memchr_iter;
use proto_core::wire::{Chunk, Frame, LineReader, MAX_LINE, Parsed, parse};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, LinesCodec};

const CHUNK: usize = 16 * 1024;
const LINE: usize = 128;
const LINES: usize = 4096;

fn main() {
    for count in
        [frames_of(&stream()), ends_of(&stream()), codec_lines_of(&stream()), read_lines_of(&stream())]
    {
        assert_eq!(count, LINES, "all of them read the same lines");
    }
    divan::main();
}

/// `LineReader` and `parse`: whole frames, checked to be UTF-8.
#[divan::bench]
fn frames(bencher: Bencher<'_, '_>) {
    measure(bencher, frames_of);
}

/// The floor: each chunk copied once, and the ends of its lines found.
#[divan::bench]
fn memchr_with_copy(bencher: Bencher<'_, '_>) {
    measure(bencher, ends_of);
}

/// `tokio_util`'s line decoder.
#[divan::bench]
fn lines_codec(bencher: Bencher<'_, '_>) {
    measure(bencher, codec_lines_of);
}

/// The standard library's line reader.
#[divan::bench]
fn read_line(bencher: Bencher<'_, '_>) {
    measure(bencher, read_lines_of);
}

fn measure(bencher: Bencher<'_, '_>, count: fn(&[u8]) -> usize) {
    let stream = stream();
    bencher.counter(BytesCount::of_slice(&stream)).bench_local(|| count(black_box(&stream)));
}

/// The first line is shorter, so that the others do not end where chunks do.
fn stream() -> Vec<u8> {
    let mut stream = Vec::with_capacity(LINES * LINE);
    for line in 0..LINES {
        let len = if line == 0 { LINE / 2 } else { LINE };
        Frame::Msg(&format!("{line:06} {:x<width$}", "", width = len - "MSG|000000 \n".len()))
            .encode(&mut stream);
    }
    assert_eq!(stream.len(), LINES * LINE - LINE / 2);
    stream
}

fn frames_of(stream: &[u8]) -> usize {
    let mut reader = LineReader::new();
    let mut frames = 0;
    for chunk in stream.chunks(CHUNK) {
        let mut chunk = Chunk::new(chunk);
        while let Some(line) = reader.next_line(&mut chunk, MAX_LINE) {
            match parse(line.expect("the lines are short"), 0) {
                Ok(Parsed::Frame(Frame::Msg(text))) => frames += usize::from(black_box(text.len()) > 0),
                other => unreachable!("the stream holds messages alone, not {other:?}"),
            }
        }
    }
    frames
}

fn ends_of(stream: &[u8]) -> usize {
    let mut copy = Vec::with_capacity(CHUNK);
    let mut ends = 0;
    for chunk in stream.chunks(CHUNK) {
        copy.clear();
        copy.extend_from_slice(chunk);
        for end in memchr_iter(b'\n', black_box(&copy)) {
            black_box(end);
            ends += 1;
        }
    }
    ends
}

fn codec_lines_of(stream: &[u8]) -> usize {
    let mut codec = LinesCodec::new_with_max_length(MAX_LINE);
    let mut buffer = BytesMut::with_capacity(2 * CHUNK);
    let mut lines = 0;
    for chunk in stream.chunks(CHUNK) {
        buffer.extend_from_slice(chunk);
        while let Some(line) = codec.decode(&mut buffer).expect("the lines are short") {
            black_box(line);
            lines += 1;
        }
    }
    lines
}

fn read_lines_of(stream: &[u8]) -> usize {
    let mut reader = std::io::BufReader::with_capacity(CHUNK, stream);
    let mut line = String::new();
    let mut lines = 0;
    while reader.read_line(&mut line).expect("the stream is UTF-8") > 0 {
        black_box(&line);
        line.clear();
        lines += 1;
    }
    lines
}
