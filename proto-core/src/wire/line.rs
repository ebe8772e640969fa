//! A stream of bytes, cut into lines.

use alloc::vec::Vec;

use memchr::memchr;

/// Cuts the bytes of one connection into lines, however they arrive.
///
/// A line ends with `\n`, or `\r\n`. Lines that lie whole in the input are lent from there; only what is left of the
/// input without an end is copied, and that never takes more than the limit.
#[derive(Debug, Default)]
pub struct LineReader {
    /// The start of a line whose end has not come, or, where `lent`, the line returned last.
    partial: Vec<u8>,
    lent: bool,
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

    /// The next line without its end, and `input` without what that took.
    ///
    /// None: all of `input` is taken, and what it ended with waits for more. Call until then, so that the memory of a
    /// long line is given back. `limit` bytes without a `\n` among them are an error, the same however they were cut
    /// into inputs; the stream has no lines any more after that, and nothing is held.
    pub fn next_line<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b [u8],
        limit: usize,
    ) -> Option<Result<&'a [u8], LineTooLong>> {
        self.take_back();
        let room = limit.saturating_sub(self.partial.len());
        let Some(end) = memchr(b'\n', &input[..input.len().min(room)]) else {
            return self.hold(input, room);
        };
        let (head, rest) = input.split_at(end + 1);
        *input = rest;
        if self.partial.is_empty() {
            return Some(Ok(without_end(head)));
        }
        self.partial.extend_from_slice(head);
        self.lent = true;
        Some(Ok(without_end(&self.partial)))
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

    /// Keeps an input that holds no end of a line, if there is room for it and for the end.
    fn hold<'a>(&mut self, input: &mut &[u8], room: usize) -> Option<Result<&'a [u8], LineTooLong>> {
        let taken = core::mem::take(input);
        if taken.is_empty() {
            return None;
        }
        if taken.len() >= room {
            self.partial = Vec::new();
            return Some(Err(LineTooLong));
        }
        self.partial.extend_from_slice(taken);
        None
    }
}

/// `line`, which ends with `\n`, without its end.
fn without_end(line: &[u8]) -> &[u8] {
    let line = &line[..line.len() - 1];
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// All lines of `chunks`, fed one after the other, up to the first error.
    fn lines(chunks: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        for mut chunk in chunks.iter().copied() {
            while let Some(line) = reader.next_line(&mut chunk, limit) {
                lines.push(line?.to_vec());
            }
            assert!(chunk.is_empty());
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
        let mut input = &b"12345678"[..];
        assert_eq!(reader.next_line(&mut input, 100), None);
        input = b"\n";
        assert_eq!(reader.next_line(&mut input, 8), Some(Err(LineTooLong)));
        assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn lines_whole_in_the_input_are_not_copied() {
        let mut reader = LineReader::new();
        let mut input = &b"one\ntwo\n"[..];
        while reader.next_line(&mut input, 100).is_some() {}
        assert_eq!(reader.partial.capacity(), 0);
    }

    #[test]
    fn the_memory_of_a_long_line_is_given_back() {
        let mut reader = LineReader::new();
        let mut input = &[b'x'; 60_000][..];
        assert_eq!(reader.next_line(&mut input, 65_536), None);
        assert_eq!(reader.buffered(), 60_000);
        input = b"\n";
        assert_eq!(reader.next_line(&mut input, 65_536).unwrap().unwrap().len(), 60_000);
        assert_eq!(reader.buffered(), 0);
        assert_eq!(reader.next_line(&mut input, 65_536), None);
        assert!(reader.partial.capacity() <= LineReader::KEPT);
    }
}
