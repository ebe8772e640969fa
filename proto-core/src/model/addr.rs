//! An address that the user gives.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

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
#[non_exhaustive]
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
