//! Splits bytes into lines to send, without storing more of a line than can be sent.

use proto_core::{ChatText, ChatTextError};

/// The current line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The start of the line.
    kept: Vec<u8>,
    /// Its length so far.
    len: usize,
    /// The number of complete lines before it.
    number: u64,
}

/// A line that cannot be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) error: ChatTextError,
}

/// The byte order mark. Files that are read one after the other have one each, and two may write at once.
const BOM: char = '\u{feff}';

/// The stored part of a line: one byte more than can be sent, and a carriage return.
const KEPT: usize = ChatText::MAX + 2;

impl Lines {
    /// Reads more bytes. Appends the texts of complete lines, and the errors of others. Skips blank lines, and replaces
    /// invalid UTF-8.
    pub(crate) fn push(&mut self, mut bytes: &[u8], texts: &mut Vec<ChatText>, bad: &mut Vec<BadLine>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.len == 0 && line.len() <= KEPT {
                self.number += 1;
                self.read(line, line.len(), texts, bad);
            } else {
                self.keep(line);
                self.end(texts, bad);
            }
            bytes = rest;
        }
        self.keep(bytes);
    }

    /// Ends the input. Text after the last line end is a line, too.
    pub(crate) fn end(&mut self, texts: &mut Vec<ChatText>, bad: &mut Vec<BadLine>) {
        self.number += 1;
        let (kept, len) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.len));
        self.read(&kept, len, texts, bad);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len = self.len.saturating_add(bytes.len());
    }

    fn read(&self, line: &[u8], len: usize, texts: &mut Vec<ChatText>, bad: &mut Vec<BadLine>) {
        if len > KEPT {
            return bad.push(BadLine { number: self.number, error: ChatTextError::TooLong { len } });
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = String::from_utf8_lossy(line);
        // It tells programs how to read the input. Nobody says it.
        let text = text.trim_start_matches(BOM);
        if text.trim().is_empty() {
            return;
        }
        let result = if text.contains('\r') {
            let said =
                |lines: Vec<ChatText>| lines.into_iter().filter(|line| !line.as_str().trim().is_empty());
            ChatText::lines(text).map(|lines| texts.extend(said(lines)))
        } else {
            ChatText::new(text).map(|text| texts.push(text))
        };
        if let Err(error) = result {
            bad.push(BadLine { number: self.number, error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> (Vec<String>, Vec<BadLine>) {
        let (mut lines, mut texts, mut bad) = (Lines::default(), Vec::new(), Vec::new());
        for part in parts {
            lines.push(part, &mut texts, &mut bad);
        }
        lines.end(&mut texts, &mut bad);
        (texts.into_iter().map(String::from).collect(), bad)
    }

    #[test]
    fn each_line_is_a_text_however_the_input_is_cut() {
        let input = b"one\r\n\n  \ntwo \n/quit\n caf\xc3\xa9\nthe last".as_slice();
        let expected = ["one", "two ", "/quit", " café", "the last"].map(str::to_owned).to_vec();
        assert_eq!(read(&[input]), (expected.clone(), vec![]));
        for cut in 0..=input.len() {
            let (before, after) = input.split_at(cut);
            assert_eq!(read(&[before, after]), (expected.clone(), vec![]), "{cut}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_said() {
        assert_eq!(read(&[b"\xef\xbb\xbfone\n\xef\xbb\xbf\xef\xbb\xbftwo"]).0, ["one", "two"]);
        assert_eq!(read(&[b"a\xef\xbb\xbf\n\xef\xbb\xbf \n"]).0, ["a\u{feff}"]);
        assert_eq!(read(&[b"\xef", b"\xbb\xbf\r\ntwo"]).0, ["two"]);
    }

    #[test]
    fn white_space_of_any_kind_alone_is_not_said() {
        let blank = "\u{a0}\n\u{3000}\u{2003}\n\t\u{85}\n\u{2028}\r\u{2029}\n\u{1680}\r \rx\r\u{205f}";
        assert_eq!(read(&[blank.as_bytes()]), (vec!["x".to_owned()], vec![]));
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(read(&[b"a\xffb\xc3\nnext\n"]).0, ["a\u{fffd}b\u{fffd}", "next"]);
    }

    #[test]
    fn a_carriage_return_parts_messages() {
        assert_eq!(read(&[b"a\rb\r\r\nc\n"]).0, ["a", "b", "c"]);
    }

    #[test]
    fn a_line_too_long_is_told_and_the_next_goes_on() {
        for (len, fits) in [(ChatText::MAX - 1, true), (ChatText::MAX, true), (ChatText::MAX + 1, false)] {
            for end in ["\n", "\r\n"] {
                let input = format!("first\n{}{end}next", "x".repeat(len));
                let (texts, bad) = read(&[input.as_bytes()]);
                assert_eq!(texts.len(), if fits { 3 } else { 2 }, "{len}");
                let too_long = BadLine { number: 2, error: ChatTextError::TooLong { len } };
                assert_eq!(bad, if fits { vec![] } else { vec![too_long] });
                assert_eq!(texts.last().unwrap(), "next");
            }
        }
    }

    #[test]
    fn a_line_without_end_keeps_no_more_than_can_be_said() {
        let (mut lines, mut texts, mut bad) = (Lines::default(), Vec::new(), Vec::new());
        for _ in 0..1000 {
            lines.push(&[b'x'; 10_000], &mut texts, &mut bad);
        }
        assert!(lines.kept.capacity() <= 2 * KEPT);
        lines.push(b"\nnext\n", &mut texts, &mut bad);
        assert_eq!(texts, [ChatText::new("next").unwrap()]);
        assert_eq!(bad, [BadLine { number: 1, error: ChatTextError::TooLong { len: 10_000_000 } }]);
    }

    #[test]
    fn bytes_that_grow_when_replaced_are_too_long() {
        let (texts, bad) = read(&[&[0xff; ChatText::MAX / 3 + 1]]);
        assert_eq!((texts.len(), bad.len()), (0, 1));
    }
}
