//! One sealed connection.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::io::{self, BufRead, Write};

use rustls::pki_types::ServerName;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, Error, HandshakeKind, OtherError,
    ServerConfig, ServerConnection,
};

use super::keys::accepted_key_of;
use super::{ALPN, SealError};
use crate::model::PublicKey;

/// The most bytes that one end takes from the other before its handshake is complete. A dialer of this protocol
/// sends 1,623, a listener 1,476.
pub const MAX_HANDSHAKE: usize = 4 * 1024;

/// The most plain bytes in one record (RFC 8446 section 5.1).
pub const MAX_PIECE: usize = 16 * 1024;

/// The most plain bytes that are sealed at once: a frame of the largest size fits.
pub const MAX_SEALED: usize = 4 * MAX_PIECE;

/// The bytes that sealing adds to a record: the header, the content type and the tag.
pub const OVERHEAD: usize = 22;

/// The most bytes that may come in after the handshake beyond 32 bytes for each plain byte in them. One record of the
/// largest size is about half of it.
pub const MAX_IDLE_INPUT: usize = 32 * 1024;

/// The bytes on the wire that one plain byte may cost. Alone in a record, it costs 23.
const WORTH: usize = 32;

/// The name that each dialer asks for: it tells nothing.
const SERVER_NAME: &str = "p2p-chat.invalid";

/// One sealed connection, without its socket.
///
/// It holds 4 KiB for what comes in, up to [`MAX_IDLE_INPUT`] and a record while one is incomplete, and up to
/// [`MAX_SEALED`] bytes of what goes out. After the first error it takes nothing more; its last output is an alert, or nothing.
pub struct Session {
    pub(super) tls: Connection,
    /// The bytes that the handshake took.
    handshake: usize,
    /// The bytes that came in after the handshake beyond what their content is worth.
    idle_input: usize,
    peer: Option<PublicKey>,
    failed: Option<SealError>,
    over: bool,
    /// Nothing is written any more.
    muted: bool,
    /// The end was announced. Nothing is sealed any more.
    closing: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.peer)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn dialed(config: Arc<ClientConfig>) -> Result<Self, SealError> {
        let name = ServerName::try_from(SERVER_NAME).expect("it is a DNS name");
        let tls = ClientConnection::new(config, name).map_err(|_| SealError::NoRandomness)?;
        Ok(Self::new(tls.into()))
    }

    pub(super) fn accepted(config: Arc<ServerConfig>) -> Result<Self, SealError> {
        let tls = ServerConnection::new(config).map_err(|_| SealError::NoRandomness)?;
        Ok(Self::new(tls.into()))
    }

    fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(Some(MAX_SEALED));
        Self {
            tls,
            handshake: 0,
            idle_input: 0,
            peer: None,
            failed: None,
            over: false,
            muted: false,
            closing: false,
        }
    }

    /// The key that the other end proved. None: the handshake is not complete.
    pub fn peer(&self) -> Option<PublicKey> {
        self.peer
    }

    /// Whether the other end announced that it sends no more (`close_notify`). What comes behind that is ignored.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes bytes from the socket, cut anywhere, and appends the plain bytes in them to `plain`.
    ///
    /// # Errors
    /// A [`SealError`], if the session has failed. What was appended came from a peer of this protocol. The driver should write what
    /// output there is, and drop the connection.
    pub fn receive(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), SealError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let taken = self.take(bytes, plain);
        self.failed = taken.err();
        taken
    }

    fn take(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), SealError> {
        while !bytes.is_empty() && !self.over {
            let most = if self.peer.is_none() { MAX_HANDSHAKE - self.handshake } else { bytes.len() };
            let mut piece = &bytes[..bytes.len().min(most)];
            if piece.is_empty() {
                return Err(SealError::TooLong);
            }
            let count = self.tls.read_tls(&mut piece).map_err(|_| SealError::Broken)?;
            bytes = &bytes[count..];
            let processed = self.tls.process_new_packets();
            if self.peer.is_none() {
                // If the handshake was complete before that, a dialer's proof is ready, and nobody checked for whom.
                self.muted = processed.is_err() && !self.tls.is_handshaking();
                self.over = processed.map_err(|error| self.reason(error))?.peer_has_closed();
                self.handshake += count;
                // What came with the end of the handshake counts only if that is one of ours.
                self.check_complete()?;
                self.drain(plain);
                continue;
            }
            let before = plain.len();
            self.drain(plain);
            self.over = processed.map_err(|error| self.reason(error))?.peer_has_closed();
            self.note_input(count, plain.len() - before)?;
        }
        Ok(())
    }

    /// Moves the plain bytes out.
    fn drain(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.tls.reader();
        // At the end, and where nothing is left for now, there is an error.
        while let Ok(bytes @ [_, ..]) = reader.fill_buf() {
            plain.extend_from_slice(bytes);
            let count = bytes.len();
            reader.consume(count);
        }
    }

    /// Bounds what brings no content: padding, empty records, tickets, updates of keys.
    fn note_input(&mut self, bytes: usize, content: usize) -> Result<(), SealError> {
        self.idle_input = (self.idle_input + bytes).saturating_sub(content * WORTH);
        if self.idle_input > MAX_IDLE_INPUT { Err(SealError::Wasteful) } else { Ok(()) }
    }

    /// Once the handshake is complete, checks what TLS leaves to the application. Nothing was written since, so a dialer
    /// has not yet shown its key.
    fn check_complete(&mut self) -> Result<(), SealError> {
        if self.tls.is_handshaking() {
            return Ok(());
        }
        let key = match self.tls.peer_certificates() {
            Some([shown]) => accepted_key_of(shown),
            _ => None,
        };
        let is_ours =
            self.tls.alpn_protocol() == Some(ALPN) && self.tls.handshake_kind() == Some(HandshakeKind::Full);
        self.peer = key.filter(|_| is_ours);
        self.muted = self.peer.is_none();
        if self.muted { Err(SealError::NotOurs) } else { Ok(()) }
    }

    fn reason(&self, error: Error) -> SealError {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(error))) => {
                error.downcast_ref().copied().unwrap_or(SealError::NotOurs)
            }
            Error::AlertReceived(_) => SealError::Refused,
            _ if self.peer.is_some() => SealError::Broken,
            _ => SealError::NotOurs,
        }
    }

    /// Whether the end of the socket's stream is the end of the session.
    ///
    /// # Errors
    /// [`SealError::Truncated`], if the other end did not announce it; the error of the session, if it has failed.
    pub fn end_of_stream(&self) -> Result<(), SealError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.over => Ok(()),
            None => Err(SealError::Truncated),
        }
    }

    /// Seals the first of these bytes, [`MAX_SEALED`] at most, in records of [`MAX_PIECE`], the last of which may be
    /// shorter. Returns how many: 0 while there is other output, before the handshake is complete, and after
    /// [`close`](Self::close) or an error.
    pub fn seal(&mut self, plain: &[u8]) -> usize {
        if self.peer.is_none() || self.has_output() || self.closing || self.failed.is_some() {
            return 0;
        }
        let sealed = &plain[..plain.len().min(MAX_SEALED)];
        self.tls.writer().write(sealed).unwrap_or(0)
    }

    /// Announces that nothing more is sent (`close_notify`).
    pub fn close(&mut self) {
        if !self.closing && self.failed.is_none() {
            self.tls.send_close_notify();
        }
        self.closing = true;
    }

    /// Whether there are bytes for the socket.
    pub fn has_output(&self) -> bool {
        self.tls.wants_write() && !self.muted
    }

    /// Writes bytes for the socket, as many as it takes at once, and returns how many.
    ///
    /// # Errors
    /// Those of `socket`.
    pub fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        if self.has_output() { self.tls.write_tls(socket) } else { Ok(0) }
    }
}
