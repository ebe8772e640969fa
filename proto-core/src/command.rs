//! What the application asks of a node.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::wire::json_len;
use crate::{Entry, Name};

/// Something the application wants, for [`Node::command`](crate::Node::command).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Say these lines, in order, to everybody in the network.
    Say(Vec<ChatText>),
    /// Dial this address until it is linked, and again whenever the link is lost.
    Connect(PeerAddr),
    /// Take another name and tell the peers.
    Rename(Name),
    /// Say `BYE` to everybody, close every connection and dial no more. Nothing is taken after that.
    Shutdown,
}

/// A command was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more is to be said of it.
    Done,
    /// What was said is in these entries now, in order.
    Said(Vec<Arc<Entry>>),
}

/// A command was refused; the node is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CommandError {
    /// A peer takes what is said, but more slowly than it is said. [`Action::Ready`](crate::Action::Ready) follows.
    #[error("the peers take what is said more slowly than it is said: try again later")]
    Busy,
    /// More at once than half an output queue holds.
    #[error("that is too much to say at once")]
    TooMuch,
    /// As many addresses as a node dials for its user are there already.
    #[error("too many peers to dial")]
    TooManyTargets,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// A line that can be said: not empty, without line breaks, and its entry fits a line of
/// [`MAX_LINE`](crate::wire::MAX_LINE) bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatText(String);

impl ChatText {
    /// The longest text, in bytes of UTF-8 as in a JSON string: `"` and `\` take two, `;` and control characters six.
    pub const MAX: usize = crate::wire::MAX_LINE - crate::Draft::OVERHEAD - "\"\",".len();

    /// One line.
    pub fn new(text: impl Into<String>) -> Result<Self, ChatTextError> {
        let text = text.into();
        match json_len(&text) - 2 {
            _ if text.is_empty() => Err(ChatTextError::Empty),
            len if len > Self::MAX => Err(ChatTextError::TooLong { len }),
            _ if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() => Err(ChatTextError::LineBreak),
            _ => Ok(Self(text)),
        }
    }

    /// The lines of a text, each its own message; empty ones are left out. Fails as a whole.
    pub fn lines(text: &str) -> Result<Vec<Self>, ChatTextError> {
        let lines = text.split(['\n', '\r']).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(Self::new).collect::<Result<_, _>>()?;
        if lines.is_empty() { Err(ChatTextError::Empty) } else { Ok(lines) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length as a JSON string, quotes included.
    pub fn json_len(&self) -> usize {
        json_len(&self.0)
    }
}

impl TryFrom<String> for ChatText {
    type Error = ChatTextError;

    fn try_from(text: String) -> Result<Self, ChatTextError> {
        Self::new(text)
    }
}

impl From<ChatText> for String {
    fn from(text: ChatText) -> Self {
        text.0
    }
}

/// A text that cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatTextError {
    /// There is nothing in it.
    #[error("a message must not be empty")]
    Empty,
    /// Its frame does not fit a line. It is never cut or split.
    #[error("a message is at most {max} bytes long as JSON, this one is {len}", max = ChatText::MAX)]
    TooLong {
        /// Its length in bytes as in a JSON string.
        len: usize,
    },
    /// It is more than one line.
    #[error("a message is one line")]
    LineBreak,
}

/// An address that the user gives: an IP address or a name, and a port.
///
/// Written `127.0.0.1:8080`, `[::1]:8080` or `example.org:8080`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PeerAddr {
    /// Dialed as it is.
    Ip(SocketAddr),
    /// Resolved anew before each round of dials.
    Host {
        /// Letters, digits, `-`, `_` and `.`, in lower case, at most 253 bytes.
        host: String,
        /// Not zero.
        port: u16,
    },
}

impl PeerAddr {
    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(addr) => addr.port(),
            Self::Host { port, .. } => *port,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(addr)
    }
}

/// The text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddrError {
    /// There is no `:PORT` at its end, or the port is not a number from 1 to 65535.
    #[error("an address ends with a port from 1 to 65535, as in 127.0.0.1:8080")]
    Port,
    /// What stands before the port is neither an IP address nor a name.
    #[error("an address is an IP address or a name, and a port, as in 127.0.0.1:8080 or [::1]:8080")]
    Host,
}

impl FromStr for PeerAddr {
    type Err = PeerAddrError;

    fn from_str(text: &str) -> Result<Self, PeerAddrError> {
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddrError::Port)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(PeerAddrError::Port)?;
        if let Ok(addr) = text.parse() {
            return Ok(Self::Ip(addr));
        }
        if let Ok(ip @ IpAddr::V4(_)) = host.parse() {
            return Ok(Self::Ip(SocketAddr::new(ip, port)));
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // A name of digits and dots alone is an address with a slip in it, not a name.
        let named = host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if !named || host.len() > 253 || !host.bytes().all(letter) {
            return Err(PeerAddrError::Host);
        }
        Ok(Self::Host { host: host.to_owned().to_ascii_lowercase(), port })
    }
}

impl TryFrom<String> for PeerAddr {
    type Error = PeerAddrError;

    fn try_from(text: String) -> Result<Self, PeerAddrError> {
        text.parse()
    }
}

impl From<PeerAddr> for String {
    fn from(addr: PeerAddr) -> Self {
        alloc::format!("{addr}")
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_and_one_more_byte_does_not() {
        for len in [ChatText::MAX - 1, ChatText::MAX] {
            assert!(ChatText::new("x".repeat(len)).is_ok());
        }
        let len = ChatText::MAX + 1;
        assert_eq!(ChatText::new("x".repeat(len)), Err(ChatTextError::TooLong { len }));
    }

    #[test]
    fn line_breaks_of_every_kind_part_messages() {
        let lines = ChatText::lines("\none\r\ntwo\rthree\n\n").unwrap();
        assert_eq!(lines.iter().map(ChatText::as_str).collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(ChatText::lines("\r\n"), Err(ChatTextError::Empty));
    }

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["127.0.0.1:8080", "[::1]:8080", "example.org:1", "a_b:65535"] {
            assert_eq!(text.parse::<PeerAddr>().map(String::from).as_deref(), Ok(text));
        }
        for text in
            ["127.0.0.1", "1.2.3:80", "::1:80", "host:0", "host:+1", "host:65536", ":80", "a b:80", ""]
        {
            assert!(text.parse::<PeerAddr>().is_err(), "{text}");
        }
    }
}
