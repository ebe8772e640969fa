//! Writing JSON.

use alloc::vec::Vec;
use core::fmt;

/// How many bytes of a text are looked at together.
const BLOCK: usize = 32;

/// Appends `text` as a JSON string (RFC 8259). A `;` is written `\u003b`, because version 1 nodes split `PEERS` at
/// every `;` (SPEC 1.5.2).
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((plain, byte, after)) = split_at_escaped(rest) {
        out.extend_from_slice(plain);
        if is_quoted(byte) {
            out.extend_from_slice(&[b'\\', byte]);
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The number of bytes that [`write_string`] appends.
pub(crate) fn json_len(text: &str) -> usize {
    // Blocks without branches, whose sums fit a byte: the compiler makes vector instructions of them.
    let more = |byte: u8| u8::from(is_quoted(byte)) + 5 * u8::from(is_numbered(byte));
    let of_block = |block: &[u8]| usize::from(block.iter().map(|byte| more(*byte)).sum::<u8>());
    2 + text.len() + text.as_bytes().chunks(BLOCK).map(of_block).sum::<usize>()
}

/// What is before the first byte that is not written as it is, that byte, and what is behind it.
fn split_at_escaped(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let is_escaped = |byte: &u8| is_quoted(*byte) | is_numbered(*byte);
    let blocks = bytes.chunks_exact(BLOCK);
    let clean =
        blocks.take_while(|block| !block.iter().fold(false, |any, byte| any | is_escaped(byte))).count();
    let start = clean * BLOCK;
    let at = start + bytes[start..].iter().position(is_escaped)?;
    Some((&bytes[..at], bytes[at], &bytes[at + 1..]))
}

/// Whether a byte is written behind a backslash: two bytes.
fn is_quoted(byte: u8) -> bool {
    byte == b'"' || byte == b'\\'
}

/// Whether a byte is written as its number: six bytes.
fn is_numbered(byte: u8) -> bool {
    byte < 0x20 || byte == b';'
}

/// Appends the text of a value.
pub(crate) fn write_display(out: &mut Vec<u8>, value: impl fmt::Display) {
    struct Appender<'a>(&'a mut Vec<u8>);

    impl fmt::Write for Appender<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }

    // Appending to a vector cannot fail.
    let _ = fmt::write(&mut Appender(out), format_args!("{value}"));
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn a_string_is_valid_json_without_semicolons() {
        let every: String = (0..0x300).filter_map(char::from_u32).chain("😀;;".chars()).collect();
        let mut out = Vec::new();
        write_string(&mut out, &every);
        assert!(!out.contains(&b';') && !out.contains(&b'\n'));
        assert_eq!(out.len(), json_len(&every));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), every);
    }
}
