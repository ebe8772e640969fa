//! A peer that says what the test writes, byte for byte.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::journal::{Journal, SOON};
use crate::version1::random_uuid;

/// One connection, whose lines a thread reads.
pub struct RawPeer {
    stream: Arc<TcpStream>,
    lines: Journal<String>,
}

impl RawPeer {
    /// Dials.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).expect("a connection"))
    }

    /// Dials, and never reads.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn deaf(addr: SocketAddr) -> Self {
        let stream = Arc::new(TcpStream::connect(addr).expect("a connection"));
        Self { stream, lines: Journal::default() }
    }

    /// Waits for a connection.
    ///
    /// # Panics
    /// When none comes.
    pub fn accept(listener: &TcpListener) -> Self {
        Self::over(listener.accept().expect("a connection").0)
    }

    fn over(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_write_timeout(Some(6 * SOON));
        let stream = Arc::new(stream);
        let lines = Journal::default();
        let (reader, journal) = (Arc::clone(&stream), lines.clone());
        std::thread::spawn(move || {
            let mut reader = BufReader::new(&*reader);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(len) if len > 0) {
                journal.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            journal.end();
        });
        Self { stream, lines }
    }

    /// Dials and is greeted as a version 2 peer of this name; its id.
    #[track_caller]
    pub fn join(addr: SocketAddr, uname: &str) -> (Self, String) {
        let peer = Self::connect(addr);
        let id = random_uuid();
        peer.send(join_line(&id, uname));
        peer.expect("JOIN|", SOON);
        peer.expect("PEERS|", SOON);
        (peer, id)
    }

    /// Writes.
    ///
    /// # Panics
    /// When the other side does not take it.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a connection that takes bytes");
    }

    /// Writes, as far as the other side takes it.
    pub fn try_send(&self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        (&*self.stream).write_all(bytes.as_ref())
    }

    /// What came.
    pub fn lines(&self) -> &Journal<String> {
        &self.lines
    }

    /// Waits for a line that starts so.
    #[track_caller]
    pub fn expect(&self, start: &str, timeout: Duration) -> String {
        self.lines.expect_one(start, timeout, |line| line.starts_with(start))
    }

    /// Whether the other side ends the connection within this time.
    pub fn ended(&self, timeout: Duration) -> bool {
        self.lines.ended(timeout)
    }

    /// Fails the test unless the other side ends the connection in time.
    #[track_caller]
    pub fn expect_end(&self, timeout: Duration) {
        assert!(self.ended(timeout), "the connection is still open; so far:\n{:?}", self.lines);
    }

    /// Sends no more, reads on.
    pub fn end_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// This side's address.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The `JOIN` of a version 2 peer that nobody can dial.
pub fn join_line(id: &str, uname: &str) -> String {
    let nonce = random_uuid().replace('-', "");
    format!("JOIN|{}\n", json!({"node_id": id, "uname": uname, "v": 2, "nonce": nonce, "links": 0}))
}

/// The `JOIN` of a version 1 peer that nobody can dial.
pub fn join_line_v1(id: &str, uname: &str) -> String {
    format!("JOIN|{}\n\n", json!({"node_id": id, "uname": uname, "listen_addr": null, "remote_addr": null}))
}
