//! Bytes to lines.

use proto_core::wire::{Chunk, Line, LineReader, LineTooLong};

use super::script::Script;

/// The first line says how: the limit as a number of its bytes (`########`), then `|`, then how large the chunks are, one
/// byte each. The rest is the stream.
pub fn frames(data: &[u8]) {
    let mut script = Script::new(data);
    let how = script.line();
    let limit = how.iter().position(|byte| *byte == b'|').unwrap_or(how.len());
    check_lines(script.rest(), how.get(limit + 1..).unwrap_or_default(), limit);
}

/// However a stream is cut, the same lines come out of it: those that it has by what a line is.
pub fn check_lines(stream: &[u8], sizes: &[u8], limit: usize) {
    let expected = lines_by_definition(stream, limit);
    assert_eq!(read([stream], limit), expected);
    assert_eq!(read(stream.chunks(1), limit), expected);
    assert_eq!(read(cut(stream, sizes), limit), expected);
}

/// The lines of a stream, and whether it ended in one that is too long.
type Lines = (Vec<Vec<u8>>, Option<LineTooLong>);

/// A line ends with `\n` or `\r\n`, and is no longer than the limit with its end.
fn lines_by_definition(stream: &[u8], limit: usize) -> Lines {
    let mut lines = Vec::new();
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let ended = line.ends_with(b"\n");
        if line.len() + usize::from(!ended) > limit {
            return (lines, Some(LineTooLong));
        }
        if ended {
            let text = &line[..line.len() - 1];
            lines.push(text.strip_suffix(b"\r").unwrap_or(text).to_vec());
        }
    }
    (lines, None)
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Lines {
    let mut reader = LineReader::new();
    let mut lines = Vec::new();
    for bytes in chunks {
        let mut chunk = Chunk::new(bytes);
        while let Some(line) = reader.next_line(&mut chunk, limit) {
            match line {
                Ok(line) => {
                    assert_eq!(
                        line,
                        Line::new(line.as_bytes()),
                        "what is UTF-8 does not depend on the chunk"
                    );
                    lines.push(line.as_bytes().to_vec());
                }
                Err(error) => return (lines, Some(error)),
            }
        }
        assert!(chunk.rest().is_empty());
        assert!(reader.buffered() < limit.max(1));
    }
    (lines, None)
}

fn cut<'a>(mut stream: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = stream.split_at(usize::from(*size).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}
