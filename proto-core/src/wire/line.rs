//! Cutting a stream of bytes into lines.

use alloc::vec::Vec;

use memchr::memchr;

/// Cuts the bytes of one connection into lines. How the bytes are split into chunks does not matter.
///
/// A line ends with `\n` or `\r\n`. A line that lies whole in a chunk is borrowed from it. Only the start of a line
/// whose end has not come is copied, and that is always shorter than the limit. The [module](super) has an example.
#[derive(Debug, Default)]
pub struct LineReader {
    /// The start of a line whose end has not come. While `lent`, the line that was returned last.
    partial: Vec<u8>,
    lent: bool,
}

/// Bytes that came in one piece, from which a [`LineReader`] takes lines.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'b> {
    bytes: &'b [u8],
    /// A prefix of `bytes` that is known to be UTF-8. Checking many lines at once takes a quarter of the time.
    text: &'b str,
}

/// A line without its `\n` or `\r\n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line that is UTF-8.
    Text(&'a str),
    /// A line that is not UTF-8.
    Bytes(&'a [u8]),
}

/// A line with its end is longer than the limit: the error of [`LineReader::next_line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is too long")]
pub struct LineTooLong;

impl LineReader {
    /// The most memory that is kept for the next partial line, in bytes.
    const KEPT: usize = 256;

    /// A reader that holds nothing.
    pub const fn new() -> Self {
        Self { partial: Vec::new(), lent: false }
    }

    /// Takes the next line from the front of `chunk`. `limit` is the most bytes of a line with its end.
    ///
    /// None: all of `chunk` is taken, and the start of a line at its end is kept. Call this until then, so that the
    /// memory of a long line is freed.
    ///
    /// # Errors
    /// [`LineTooLong`], if `limit` bytes have no `\n` among them, however they are split into chunks. The rest of the
    /// stream cannot be cut into lines then, and nothing is kept.
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

    /// The bytes of a partial line that are kept. They take at most twice as much memory.
    pub fn buffered(&self) -> usize {
        if self.lent { 0 } else { self.partial.len() }
    }

    /// Frees the line that was returned last.
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

    /// Keeps bytes without an end of a line, if there is room for them and for the end.
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
    /// How many bytes are checked to be UTF-8 at once, if there are that many.
    const BLOCK: usize = 4096;

    /// A chunk of these bytes.
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, text: "" }
    }

    /// The bytes that were not taken yet.
    pub const fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// Takes a line of `len` bytes with its end.
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

    /// Takes the next line, if its end is among the next `limit` bytes. This is for looking ahead in a copy.
    pub(crate) fn take_whole_line(&mut self, limit: usize) -> Option<Line<'b>> {
        let end = memchr(b'\n', &self.bytes[..self.bytes.len().min(limit)])?;
        Some(self.take_line(end + 1))
    }

    /// Takes `len` bytes, without a check for UTF-8.
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
    /// The line with these bytes, which do not include its end.
    pub fn new(bytes: &'a [u8]) -> Self {
        core::str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Text)
    }

    /// The bytes of the line, without its end.
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

/// The longest prefix of `bytes` that is UTF-8.
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

    /// The lines of `chunks`, which come one after the other, or the first error.
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
    fn the_limit_includes_the_end_of_the_line() {
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
    fn bytes_without_an_end_are_an_error_from_the_limit_on() {
        assert_eq!(lines(&[b"1234567"], 8), Ok(vec![]));
        assert_eq!(lines(&[b"12345678"], 8), Err(LineTooLong));
        assert_eq!(lines(&[b"1234567", b"8"], 8), Err(LineTooLong));
        assert_eq!(lines(&[b"x"], 0), Err(LineTooLong));
    }

    #[test]
    fn a_lower_limit_applies_to_bytes_that_are_kept_already() {
        let mut reader = LineReader::new();
        assert_eq!(reader.next_line(&mut Chunk::new(b"12345678"), 100), None);
        assert_eq!(reader.next_line(&mut Chunk::new(b"\n"), 8), Some(Err(LineTooLong)));
        assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn a_line_that_is_not_utf8_does_not_change_the_others() {
        // The stream is long enough that lines of some length cross the end of a block that is checked at once.
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
    fn lines_that_lie_whole_in_a_chunk_are_not_copied() {
        let mut reader = LineReader::new();
        let mut chunk = Chunk::new(b"one\ntwo\n");
        while reader.next_line(&mut chunk, 100).is_some() {}
        assert_eq!(reader.partial.capacity(), 0);
    }

    #[test]
    fn the_memory_of_a_long_line_is_freed() {
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
