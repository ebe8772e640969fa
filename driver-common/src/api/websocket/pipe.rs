//! An in-memory stream that tungstenite reads and writes.

use std::io::{self, Read, Write};

use bytes::{Buf, BytesMut};

/// Received bytes and bytes to send. The caller bounds both.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) incoming: BytesMut,
    pub(super) outgoing: BytesMut,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.incoming.len());
        self.incoming.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
