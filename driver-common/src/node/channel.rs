//! What the bytes of a connection pass through: nothing, or a seal.

use std::io::{self, IoSlice, Write};

use proto_core::PublicKey;
use proto_core::seal::{MAX_PIECE, MAX_SEALED, OVERHEAD, SealError, Sealer, Session, opens_handshake};

use crate::runtime::Stream;

pub(super) enum Channel {
    Clear,
    /// Accepted. The first byte tells what it is.
    Undecided,
    /// The first byte opens a handshake. It goes on when the node wants it to.
    Waiting {
        first_byte: u8,
    },
    Sealed(Sealed),
}

/// A connection that is sealed, or whose handshake is under way.
pub(super) struct Sealed {
    session: Box<Session>,
    records: Records,
}

/// The bytes of a record of the largest size on the wire.
const FULL: usize = MAX_PIECE + OVERHEAD;

/// The records that are being written: full ones, and maybe a shorter one at the end.
#[derive(Default)]
struct Records {
    /// The bytes of the frame in them.
    content: usize,
    /// The bytes that the socket has taken of them.
    written: usize,
}

impl Records {
    /// The most bytes of a frame whose records are no longer than this.
    fn room(wire: usize) -> usize {
        let (full, rest) = (wire / FULL, wire % FULL);
        (full * MAX_PIECE + rest.saturating_sub(OVERHEAD)).max(1)
    }

    /// The bytes of the frame in those records that the socket has taken whole.
    fn out(&self) -> usize {
        let (full, rest) = (self.content / MAX_PIECE, self.content % MAX_PIECE);
        let last = if rest > 0 { rest + OVERHEAD } else { 0 };
        if self.written >= full * FULL + last { self.content } else { self.written / FULL * MAX_PIECE }
    }

    /// The socket has taken so many bytes more. Returns how many of the frame have left completely with them.
    fn wrote(&mut self, count: usize) -> usize {
        let before = self.out();
        self.written += count;
        self.out() - before
    }
}

/// What came out of the bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// The key that the other end has proven just now.
    pub(super) proven: Option<PublicKey>,
    /// Nothing more can come.
    pub(super) over: bool,
}

impl Channel {
    /// The channel of a dialed connection whose handshake is complete.
    pub(super) fn of_session(session: Box<Session>) -> Self {
        Self::Sealed(Sealed { session, records: Records::default() })
    }

    /// The most bytes to read at once. Of a connection that is undecided nothing is held until the node decides.
    pub(super) fn read_limit(&self) -> usize {
        if matches!(self, Self::Undecided) { 1 } else { usize::MAX }
    }

    /// Whether the channel waits for the node, and nothing is read.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// Decides by the first byte. Returns whether it opens a handshake.
    pub(super) fn decide(&mut self, first_byte: u8) -> bool {
        let opens = opens_handshake(first_byte);
        *self = if opens { Self::Waiting { first_byte } } else { Self::Clear };
        opens
    }

    /// Begins the handshake of an accepted connection.
    pub(super) fn begin(&mut self, sealer: &Sealer) -> Result<(), SealError> {
        let Self::Waiting { first_byte } = *self else { return Ok(()) };
        let mut session = Box::new(sealer.accept()?);
        session.receive(&[first_byte], &mut Vec::new())?;
        *self = Self::of_session(session);
        Ok(())
    }

    /// Whether something waits that is no part of a frame, or the rest of a record.
    pub(super) fn has_output(&self) -> bool {
        matches!(self, Self::Sealed(sealed) if sealed.session.has_output())
    }

    /// Writes some of what waits, or else some of `frame`, `piece` bytes at most. Returns how many bytes of the frame have
    /// left completely with it.
    pub(super) fn write(&mut self, stream: &impl Stream, frame: &[u8], piece: usize) -> io::Result<usize> {
        match self {
            Self::Sealed(sealed) => sealed.write(stream, frame, piece),
            _ => match stream.try_write(&[IoSlice::new(&frame[..frame.len().min(piece)])])? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                count => Ok(count),
            },
        }
    }

    /// Announces the end, where there is a way to.
    pub(super) fn close(&mut self) {
        if let Self::Sealed(sealed) = self {
            sealed.session.close();
        }
    }

    /// The stream has ended.
    pub(super) fn end(&self) {
        if let Self::Sealed(sealed) = self
            && let Err(error) = sealed.session.end_of_stream()
        {
            tracing::debug!(%error, "a sealed connection ended");
        }
    }
}

impl Sealed {
    fn write(&mut self, stream: &impl Stream, frame: &[u8], piece: usize) -> io::Result<usize> {
        if !self.session.has_output() {
            let content = self.session.seal(&frame[..frame.len().min(Records::room(piece))]);
            self.records = Records { content, written: 0 };
        }
        match self.session.write_to(&mut Piece { stream, most: piece })? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(self.records.wrote(count)),
        }
    }

    /// Opens what was read. The plain bytes in it replace those in `plain`.
    pub(super) fn open(&mut self, stream: &impl Stream, wire: &[u8], plain: &mut Vec<u8>) -> Opened {
        plain.clear();
        let known = self.session.peer();
        let result = self.session.receive(wire, plain);
        if let Err(error) = result {
            tracing::debug!(%error, "a seal failed");
            // The other end learns the reason, if there is room for it.
            let _ = self.session.write_to(&mut Piece { stream, most: usize::MAX });
        }
        let proven = self.session.peer().filter(|_| known.is_none());
        Opened { proven, over: result.is_err() || self.session.is_over() }
    }
}

/// The most parts of one write: the records that are sealed at once, and what TLS may have to say before and after them.
const PARTS: usize = MAX_SEALED / MAX_PIECE + 2;

/// A socket that takes no more than this at once.
pub(super) struct Piece<'a, S> {
    pub(super) stream: &'a S,
    pub(super) most: usize,
}

impl<S: Stream> Write for Piece<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// The records of one piece go to the system at once.
    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        let (mut parts, mut count, mut room) = ([IoSlice::new(&[]); PARTS], 0, self.most);
        for (part, record) in parts.iter_mut().zip(records) {
            *part = IoSlice::new(&record[..record.len().min(room)]);
            (count, room) = (count + 1, room - part.len());
        }
        self.stream.try_write(&parts[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_fill_a_piece_and_never_exceed_it() {
        let wire = |content: usize| content + content.div_ceil(MAX_PIECE) * OVERHEAD;
        for piece in
            [OVERHEAD + 1, 2 * 1024, FULL - 1, FULL, FULL + 1, FULL + OVERHEAD + 1, 64 * 1024, 128 * 1024]
        {
            let room = Records::room(piece);
            assert!(wire(room) <= piece && wire(room + 1) > piece, "{room} of {piece}");
        }
        assert_eq!(Records::room(1), 1, "there is always some progress");
    }

    #[test]
    fn the_frame_has_left_as_far_as_its_records_have() {
        let mut records = Records { content: 2 * MAX_PIECE + 100, written: 0 };
        for (count, left) in
            [(FULL - 1, 0), (1, MAX_PIECE), (FULL, MAX_PIECE), (100 + OVERHEAD - 1, 0), (1, 100), (24, 0)]
        {
            assert_eq!(records.wrote(count), left);
        }
        let mut records = Records { content: MAX_PIECE, written: 0 };
        assert_eq!(records.wrote(FULL), MAX_PIECE);
        assert_eq!(Records::default().wrote(1_000), 0, "the end of a handshake is no part of a frame");
    }
}
