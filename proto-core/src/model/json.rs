//! Writing JSON.

use alloc::vec::Vec;
use core::fmt;

/// Appends `text` as a JSON string (RFC 8259). A `;` is written `\u003b`, because version 1 nodes split `PEERS` at
/// every `;` (SPEC 1.5.2).
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 | b';' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The number of bytes that [`write_string`] appends.
pub(crate) fn json_len(text: &str) -> usize {
    let len = |byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 | b';' => 6,
        _ => 1,
    };
    2 + text.bytes().map(len).sum::<usize>()
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
