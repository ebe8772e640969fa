//! Addresses that the user gives.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address that the user gives: an IP address or a host name, and a port.
///
/// As text it is `IP:PORT`, `[IPv6]:PORT` or `HOST:PORT`. Serde uses that text, too.
///
/// ```
/// use proto_core::{PeerAddr, PeerAddrError};
///
/// # fn main() -> Result<(), PeerAddrError> {
/// let addr: PeerAddr = "[::1]:8080".parse()?;
/// assert_eq!(addr, PeerAddr::Ip("[::1]:8080".parse().unwrap()));
///
/// let addr: PeerAddr = "Example.org:8080".parse()?;
/// assert_eq!(addr, PeerAddr::Host { host: "example.org".into(), port: 8080 });
/// assert_eq!(addr.to_string(), "example.org:8080");
///
/// assert_eq!("example.org".parse::<PeerAddr>(), Err(PeerAddrError::Port));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PeerAddr {
    /// An IP address and a port, dialed as they are.
    Ip(SocketAddr),
    /// A host name and a port. The name is resolved again before each round of dials.
    Host {
        /// The name in lower case: ASCII letters, digits, `-`, `_` and `.`, with at least one letter, 1 to 253 bytes.
        host: String,
        /// The port, 1 to 65535.
        port: u16,
    },
}

impl PeerAddr {
    /// The port, which is not zero in an address that was parsed.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(addr) => addr.port(),
            Self::Host { port, .. } => *port,
        }
    }

    /// The same address in its one spelling. A parsed one has it already.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Ip(addr) => addr.into(),
            host => host,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(canonical(addr))
    }
}

/// The one spelling of an address (SPEC 2.5.4). Every address takes it where it enters the node, so that what is known of an
/// address is found whoever spells it, and however.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match (addr.ip().to_canonical(), addr) {
        // The zone is a part of such an address: each link has its own.
        (IpAddr::V6(ip), SocketAddr::V6(v6)) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, addr.port()),
    }
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerAddrError {
    /// The text does not end with `:PORT`, or the port is not a number from 1 to 65535 in digits.
    #[error("an address ends with a port from 1 to 65535, as in 127.0.0.1:8080")]
    Port,
    /// The part before the port is neither an IP address nor a host name. An IPv6 address needs brackets.
    #[error("an address is an IP address or a name, and a port, as in 127.0.0.1:8080 or [::1]:8080")]
    Host,
}

impl FromStr for PeerAddr {
    type Err = PeerAddrError;

    /// Parses an address.
    ///
    /// # Errors
    /// [`PeerAddrError`] says which part is wrong.
    fn from_str(text: &str) -> Result<Self, PeerAddrError> {
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddrError::Port)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(PeerAddrError::Port)?;
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(addr.into());
        }
        if let Ok(ip @ IpAddr::V4(_)) = host.parse() {
            return Ok(Self::Ip(SocketAddr::new(ip, port)));
        }
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // Digits and dots without a letter are a mistyped IP address, not a name.
        let has_letter = host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if !has_letter || host.len() > 253 || !host.bytes().all(letter) {
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
    fn an_address_has_one_spelling() {
        for (text, spelled) in [
            ("[::ffff:9.9.9.9]:9000", "9.9.9.9:9000"),
            ("[::ffff:9.9.9.9%3]:9000", "9.9.9.9:9000"),
            ("[2a00::1%7]:9000", "[2a00::1]:9000"),
            ("[::1%1]:9000", "[::1]:9000"),
            ("[fe80::1%7]:9000", "[fe80::1%7]:9000"),
            ("[::]:9000", "[::]:9000"),
        ] {
            assert_eq!(text.parse::<PeerAddr>().map(String::from).as_deref(), Ok(spelled));
            assert_eq!(alloc::format!("{}", canonical(text.parse().unwrap())), spelled);
        }
        let ip = "fe80::1".parse().unwrap();
        let flow = |flow| canonical(SocketAddrV6::new(ip, 1, flow, 7).into());
        assert_eq!(flow(5), flow(0));
    }

    #[test]
    fn an_address_is_parsed_and_written_in_the_same_form() {
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
