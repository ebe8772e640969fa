//! What the bytes of a connection pass through: nothing, or a seal.

use std::io::{self, Write};

use proto_core::PublicKey;
use proto_core::seal::{OVERHEAD, SealError, Sealer, Session, opens_handshake};

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
    /// The bytes of the frame in the record that is being written.
    in_record: usize,
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
        Self::Sealed(Sealed { session, in_record: 0 })
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
            _ => match stream.try_write(&frame[..frame.len().min(piece)])? {
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
            let most = piece.saturating_sub(OVERHEAD).max(1);
            self.in_record = self.session.seal(&frame[..frame.len().min(most)]);
        }
        if self.session.write_to(&mut Piece { stream, most: piece })? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(if self.session.has_output() { 0 } else { std::mem::take(&mut self.in_record) })
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

/// A socket that takes no more than this at once.
pub(super) struct Piece<'a, S> {
    pub(super) stream: &'a S,
    pub(super) most: usize,
}

impl<S: Stream> Write for Piece<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(&bytes[..bytes.len().min(self.most)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
