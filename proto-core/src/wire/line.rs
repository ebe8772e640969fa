//! A stream of bytes, cut into lines.

use alloc::vec::Vec;

use memchr::memchr;

/// Cuts the bytes of one connection into lines, however they arrive.
///
/// A line ends with `\n`, or `\r\n`. Lines that lie whole in a chunk are lent from there; only what is left of it
/// without an end is copied, and that never takes more than the limit.
#[derive(Debug, Default)]
pub struct LineReader {
    /// The start of a line whose end has not come, or, where `lent`, the line returned last.
    partial: Vec<u8>,
    lent: bool,
}

/// Bytes that came at once, and that a [`LineReader`] takes lines from.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'b> {
    bytes: &'b [u8],
    /// A start of `bytes` that is known to be UTF-8: finding that out for many lines at once takes a quarter of the time.
    text: &'b str,
}

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// It is UTF-8.
    Text(&'a str),
    /// It is not.
    Bytes(&'a [u8]),
}

/// A line, its end counted in, is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is too long")]
pub struct LineTooLong;

impl LineReader {
    /// The most memory that is kept between lines, in bytes.
    const KEPT: usize = 256;

    /// A reader that holds nothing.
    pub const fn new() -> Self {
        Self { partial: Vec::new(), lent: false }
    }

    /// The next line, which `chunk` is then without.
    ///
    /// None: all of `chunk` is taken, and what it ended with waits for more. Call until then, so that the memory of a
    /// long line is given back. `limit` bytes without a `\n` among them are an error, the same however they were cut
    /// into chunks; the stream has no lines any more after that, and nothing is held.
    #[inline]
    pub fn next_line<'a, 'b: 'a>(
        &'a mut self,
        chunk: &mut Chunk<'b>,
        limit: usize,
    ) -> Option<Result<Line<'a>, LineTooLong>> {
        self.take_back();
        let room = limit.saturating_sub(self.partial.len());
        let Some(end) = memchr(b'\n', &chunk.bytes[..chunk.bytes.len().min(room)]) else {
            return self.hold(chunk.take_all(), room);
        };
        if self.partial.is_empty() {
            return Some(Ok(chunk.take_line(end + 1)));
        }
        self.partial.extend_from_slice(chunk.take_bytes(end + 1));
        self.lent = true;
        Some(Ok(Line::new(without_end(&self.partial))))
    }

    /// How many bytes of an unfinished line are held. They take at most twice as much memory.
    pub fn buffered(&self) -> usize {
        if self.lent { 0 } else { self.partial.len() }
    }

    /// Ends the loan of the last line.
    fn take_back(&mut self) {
        if !self.lent {
            return;
        }
        self.lent = false;
        if self.partial.capacity() > Self::KEPT {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
        }
    }

    /// Keeps bytes that hold no end of a line, if there is room for them and for the end.
    fn hold<'a>(&mut self, bytes: &[u8], room: usize) -> Option<Result<Line<'a>, LineTooLong>> {
        if bytes.is_empty() {
            return None;
        }
        if bytes.len() >= room {
            self.partial = Vec::new();
            return Some(Err(LineTooLong));
        }
        self.partial.extend_from_slice(bytes);
        None
    }
}

impl<'b> Chunk<'b> {
    /// How many bytes are checked to be UTF-8 at once, where they are there.
    const BLOCK: usize = 4096;

    /// All of these bytes, of which nothing is known yet.
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, text: "" }
    }

    /// What no line was taken from yet.
    pub const fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// A line of `len` bytes with its end.
    #[inline]
    fn take_line(&mut self, len: usize) -> Line<'b> {
        if self.text.len() < len {
            let block = len.max(Self::BLOCK).min(self.bytes.len());
            self.text = utf8_prefix(&self.bytes[..block]);
        }
        let (bytes, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        let Some((line, rest)) = self.text.split_at_checked(len) else {
            self.text = "";
            return Line::Bytes(without_end(bytes));
        };
        self.text = rest;
        let line = line.strip_suffix('\n').unwrap_or(line);
        Line::Text(line.strip_suffix('\r').unwrap_or(line))
    }

    /// The next `len` bytes, of which it does not matter whether they are UTF-8 for themselves.
    fn take_bytes(&mut self, len: usize) -> &'b [u8] {
        let (bytes, rest) = self.bytes.split_at(len);
        *self = Self::new(rest);
        bytes
    }

    fn take_all(&mut self) -> &'b [u8] {
        self.take_bytes(self.bytes.len())
    }
}

impl<'a> Line<'a> {
    /// The line of these bytes, which are without its end.
    pub fn new(bytes: &'a [u8]) -> Self {
        core::str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Text)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// As much of the start of `bytes` as is UTF-8.
fn utf8_prefix(bytes: &[u8]) -> &str {
    let valid = match core::str::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => &bytes[..error.valid_up_to()],
    };
    core::str::from_utf8(valid).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// All lines of `chunks`, fed one after the other, up to the first error.
    fn lines(chunks: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut chunk = Chunk::new(chunk);
            while let Some(line) = reader.next_line(&mut chunk, limit) {
                let line = line?;
                assert_eq!(line, Line::new(line.as_bytes()));
                lines.push(line.as_bytes().to_vec());
            }
            assert!(chunk.rest().is_empty());
            assert!(reader.buffered() < limit);
        }
        Ok(lines)
    }

    #[test]
    fn lines_end_with_lf_or_crlf() {
        let expected = [&b"one"[..], b"", b"two", b"", b"a\rb", b"\r"].map(<[u8]>::to_vec);
        let stream = b"one\n\ntwo\r\n\r\na\rb\n\r\r\nrest";
        assert_eq!(lines(&[stream], 100).unwrap(), expected);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&single, 100).unwrap(), expected);
    }

    #[test]
    fn the_limit_counts_the_end() {
        for end in ["\n", "\r\n"] {
            for (len, fits) in [(7, true), (8, true), (9, false)] {
                let mut line = vec![b'x'; len - end.len()];
                line.extend_from_slice(end.as_bytes());
                for chunk in 1..=len {
                    let chunks: Vec<&[u8]> = line.chunks(chunk).collect();
                    assert_eq!(lines(&chunks, 8).is_ok(), fits, "{len} bytes in chunks of {chunk}");
                }
            }
        }
    }

    #[test]
    fn a_line_without_end_is_an_error_at_the_limit() {
        assert_eq!(lines(&[b"1234567"], 8), Ok(vec![]));
        assert_eq!(lines(&[b"12345678"], 8), Err(LineTooLong));
        assert_eq!(lines(&[b"1234567", b"8"], 8), Err(LineTooLong));
        assert_eq!(lines(&[b"x"], 0), Err(LineTooLong));
    }

    #[test]
    fn a_smaller_limit_holds_for_what_is_held_already() {
        let mut reader = LineReader::new();
        assert_eq!(reader.next_line(&mut Chunk::new(b"12345678"), 100), None);
        assert_eq!(reader.next_line(&mut Chunk::new(b"\n"), 8), Some(Err(LineTooLong)));
        assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn one_line_that_is_not_utf8_spoils_no_other() {
        // Long enough that every line falls, for some length, on the border of a block that is checked at once.
        for len in 1..50 {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for line in 0..2 * Chunk::BLOCK / len {
                let filler = if line % 7 == 3 { "\u{e9}" } else { "x" };
                let mut bytes = filler.repeat(len).into_bytes();
                if line % 5 == 0 {
                    bytes.truncate(len);
                    bytes[len / 2] = 0xff;
                }
                stream.extend_from_slice(&bytes);
                stream.push(b'\n');
                expected.push(bytes);
            }
            for size in [stream.len(), 4096, 1000, 7] {
                let chunks: Vec<&[u8]> = stream.chunks(size).collect();
                assert_eq!(lines(&chunks, 200).unwrap(), expected, "lines of {len} in chunks of {size}");
            }
        }
    }

    #[test]
    fn lines_whole_in_the_chunk_are_not_copied() {
        let mut reader = LineReader::new();
        let mut chunk = Chunk::new(b"one\ntwo\n");
        while reader.next_line(&mut chunk, 100).is_some() {}
        assert_eq!(reader.partial.capacity(), 0);
    }

    #[test]
    fn the_memory_of_a_long_line_is_given_back() {
        let mut reader = LineReader::new();
        assert_eq!(reader.next_line(&mut Chunk::new(&[b'x'; 60_000]), 65_536), None);
        assert_eq!(reader.buffered(), 60_000);
        let mut chunk = Chunk::new(b"\n");
        let line = reader.next_line(&mut chunk, 65_536).unwrap().unwrap();
        assert_eq!(line.as_bytes().len(), 60_000);
        assert_eq!(reader.buffered(), 0);
        assert_eq!(reader.next_line(&mut chunk, 65_536), None);
        assert!(reader.partial.capacity() <= LineReader::KEPT);
    }
}
