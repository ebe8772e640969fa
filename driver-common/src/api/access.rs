//! Who has access: the user who runs the node, and whoever has the token.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};

use super::guard::only;
use crate::data::ApiToken;

/// Who has access besides the user who runs the node.
#[derive(Debug, Default)]
pub struct Access {
    token: Option<ApiToken>,
    hosts: Vec<ApiHost>,
}

impl Access {
    /// The user who runs the node, and root, have access from this machine.
    pub fn user_alone() -> Self {
        Self::default()
    }

    /// Whoever sends this token has access too, under the names of this machine and under `hosts`. A request under one
    /// of `hosts` needs the token, whoever sends it.
    pub fn with_token(token: ApiToken, hosts: Vec<ApiHost>) -> Self {
        Self { token: Some(token), hosts }
    }

    /// Whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether requests under this value of `Host` are admitted, with the token.
    pub(super) fn admits(&self, host: &str) -> bool {
        self.hosts.iter().any(|admitted| admitted.matches(host))
    }

    /// Looks for the token in a request.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Presented {
        let presented = match bearer(headers) {
            Some(bearer) => bearer,
            None => match protocol_token(headers) {
                Some(token) => Some(token),
                None => return Presented::Nothing,
            },
        };
        match (presented, &self.token) {
            (Some(presented), Some(token)) if token.equals(presented) => Presented::Right,
            _ => Presented::Wrong,
        }
    }
}

/// What a request offers for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Nothing,
    Right,
    Wrong,
}

/// The token in the `Authorization` header (RFC 6750, 2.1). `Some(None)` if there is such a header and no token in it.
fn bearer(headers: &HeaderMap) -> Option<Option<&str>> {
    headers.contains_key(AUTHORIZATION).then(|| {
        let (scheme, token) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_matches(' '))
    })
}

/// The subprotocol that a page asks for when it opens a WebSocket.
pub(super) const PROTOCOL: &str = "p2p-chat";
/// What a page puts before the token to list it as a second subprotocol: it cannot set other headers of a WebSocket.
const TOKEN_PROTOCOL: &str = "p2p-chat.token.";

fn protocol_token(headers: &HeaderMap) -> Option<&str> {
    protocols(headers).find_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL))
}

/// The subprotocols that a WebSocket's client offers (RFC 6455, 11.3.4).
pub(super) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// A name, and maybe a port, that `Host` may have for those who have the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiHost {
    /// In lower case, as in a URL: an IPv6 address is in brackets.
    host: String,
    /// `None` means any.
    port: Option<u16>,
}

/// Why a text is not an [`ApiHost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name or an IP address is expected, with a port or without, as in chat.example.org or localhost:9000"
)]
pub struct ApiHostError;

impl ApiHost {
    fn matches(&self, authority: &str) -> bool {
        authority.parse().is_ok_and(|Self { host, port }| {
            host == self.host && self.port.is_none_or(|own| port == Some(own))
        })
    }
}

impl FromStr for ApiHost {
    type Err = ApiHostError;

    fn from_str(text: &str) -> Result<Self, ApiHostError> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| digits && *port != 0);
                (host, Some(port.ok_or(ApiHostError)?))
            }
            _ => (text, None),
        };
        let ip = |host: &str| match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => host.parse::<Ipv6Addr>().ok().map(|ip| format!("[{ip}]")),
            None => host.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()),
        };
        let host = ip(host).or_else(|| is_name(host).then(|| host.to_ascii_lowercase()));
        Ok(Self { host: host.ok_or(ApiHostError)?, port })
    }
}

impl fmt::Display for ApiHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Whether this is a host name (RFC 1123, 2.1).
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(legal)
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn presented(headers: &[(HeaderName, &str)]) -> Presented {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let mut all = HeaderMap::new();
        headers.for_each(|(name, value)| {
            all.append(name, value);
        });
        Access::with_token(ApiToken::for_tests(TOKEN), vec![]).presented(&all)
    }

    #[test]
    fn the_token_comes_as_a_bearer_or_as_a_subprotocol() {
        let right = format!("Bearer {TOKEN}");
        assert_eq!(presented(&[]), Presented::Nothing);
        assert_eq!(presented(&[(AUTHORIZATION, &right)]), Presented::Right);
        assert_eq!(presented(&[(AUTHORIZATION, &format!("bearer   {TOKEN} "))]), Presented::Right);
        let listed = format!("p2p-chat, p2p-chat.token.{TOKEN}");
        assert_eq!(presented(&[(SEC_WEBSOCKET_PROTOCOL, &listed)]), Presented::Right);
        assert_eq!(presented(&[(SEC_WEBSOCKET_PROTOCOL, "p2p-chat, mqtt")]), Presented::Nothing);
    }

    #[test]
    fn whatever_else_is_offered_is_wrong() {
        let right = format!("Bearer {TOKEN}");
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            &format!("Basic {TOKEN}"),
            &right[..right.len() - 1],
            &format!("{right}0"),
            &right.to_uppercase(),
        ] {
            assert_eq!(presented(&[(AUTHORIZATION, wrong)]), Presented::Wrong, "{wrong:?}");
        }
        assert_eq!(presented(&[(AUTHORIZATION, &right), (AUTHORIZATION, &right)]), Presented::Wrong, "twice");
        assert_eq!(presented(&[(SEC_WEBSOCKET_PROTOCOL, "p2p-chat.token.")]), Presented::Wrong);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&right).unwrap());
        assert_eq!(Access::user_alone().presented(&headers), Presented::Wrong, "there is no token");
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_or_any() {
        let admits = |admitted: &str, host: &str| {
            let access = Access::with_token(ApiToken::for_tests(TOKEN), vec![admitted.parse().unwrap()]);
            access.admits(host)
        };
        for host in ["chat.example.org", "CHAT.example.org:1", "chat.example.org:65535"] {
            assert!(admits("Chat.Example.org", host), "{host}");
        }
        for host in [
            "example.org",
            "chat.example.org.",
            "u@chat.example.org",
            "chat.example.org:x",
            "",
            "chat.example.org:",
        ] {
            assert!(!admits("chat.example.org", host), "{host}");
        }
        assert!(admits("localhost:9000", "localhost:9000"));
        assert!(!admits("localhost:9000", "localhost:9001") && !admits("localhost:9000", "localhost"));
        assert!(admits("[::1]:9000", "[::1]:9000") && admits("10.0.0.1", "10.0.0.1:80"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":1", "a:", "a:0", "a:+1", "a:65536", "http://a", "a/b", "a b", "::1", "[::1", "*", "a..b",
            "é",
        ] {
            assert_eq!(text.parse::<ApiHost>(), Err(ApiHostError), "{text}");
        }
        for text in ["a", "a-b.c_d:1", "[::1]", "[::1]:2", "10.0.0.1"] {
            assert_eq!(text.parse::<ApiHost>().unwrap().to_string(), text);
        }
    }
}
