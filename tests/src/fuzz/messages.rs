//! Lines to frames.

use proto_core::wire::{Line, MAX_LINE, Parsed, parse};

/// Each line is parsed, and what can be read can be written and read again.
pub fn messages(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(Parsed::Frame(frame)) = parse(Line::new(line), 64) else { continue };
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        assert!(encoded.len() <= MAX_LINE.max(line.len() + 1));
        let (end, text) = encoded.split_last().expect("a line has an end");
        assert!(*end == b'\n' && !text.contains(end), "one frame is one line");
        assert_eq!(parse(Line::new(text), 64), Ok(Parsed::Frame(frame)));
    }
}
