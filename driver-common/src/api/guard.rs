//! Decides who may use the API: local programs, and pages that the node itself served.
//!
//! A page of another site that runs in the user's browser is recognized by `Origin`. A site that resolves its own name
//! to this machine (DNS rebinding) is recognized by `Host`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Request;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no `Host` header, or more than one.
    NoHost,
    /// `Host` names another host.
    ForeignHost,
    /// `Origin` names another site.
    ForeignOrigin,
}

/// Checks a request that was received at the address `local`.
pub(super) fn check<B>(request: &Request<B>, local: SocketAddr) -> Result<(), Refusal> {
    let host = only(request.headers(), &HOST).ok_or(Refusal::NoHost)?;
    // A target in absolute form overrides `Host` (RFC 9112, 3.2.2), so both are checked.
    let target = request.uri().authority().map(hyper::http::uri::Authority::as_str);
    if !is_own(host, local, Port::MayLack) || !target.is_none_or(|host| is_own(host, local, Port::MayLack)) {
        return Err(Refusal::ForeignHost);
    }
    if request.headers().contains_key(ORIGIN) {
        let origin = only(request.headers(), &ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if !origin.is_some_and(|host| is_own(host, local, Port::OfOrigin)) {
            return Err(Refusal::ForeignOrigin);
        }
    }
    Ok(())
}

/// The meaning of a missing port.
#[derive(Clone, Copy)]
enum Port {
    MayLack,
    /// A browser omits port 80 only.
    OfOrigin,
}

fn is_own(authority: &str, local: SocketAddr, missing: Port) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let right_port = match (port, missing) {
        (Some(port), _) => *port == *local.port().to_string(),
        (None, Port::MayLack) => true,
        (None, Port::OfOrigin) => local.port() == 80,
    };
    right_port && is_own_host(host, local.ip())
}

fn is_own_host(host: &str, local: IpAddr) -> bool {
    let ip = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').and_then(|host| host.parse().ok()).map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match ip {
        Some(ip) => loopback.contains(&ip) || ip == local.to_canonical(),
        None => host.eq_ignore_ascii_case("localhost"),
    }
}

/// The value of a header that occurs exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(local: &str, headers: &[(HeaderName, &str)]) -> Result<(), Refusal> {
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(name, *value));
        check(&request.body(()).unwrap(), local.parse().unwrap())
    }

    fn host(local: &str, host: &str) -> Result<(), Refusal> {
        checked(local, &[(HOST, host)])
    }

    fn origin(local: &str, origin: &str) -> Result<(), Refusal> {
        checked(local, &[(HOST, "localhost"), (ORIGIN, origin)])
    }

    #[test]
    fn hosts_are_names_of_this_machine_with_the_right_port_or_none() {
        for own in ["127.0.0.1", "localhost", "LocalHost:8180", "[::1]", "[::1]:8180", "127.0.0.1:8180"] {
            assert_eq!(host("127.0.0.1:8180", own), Ok(()), "{own}");
        }
        for foreign in [
            "example.org",
            "127.0.0.1:8080",
            "localhost:",
            "127.0.0.1.example.org:8180",
            "localhost:08180",
            "::1",
            "[::1",
            "[::1]x",
            "192.168.0.5:8180",
            "u@localhost",
            "localhost.:8180",
            "",
            "127.1",
            "[localhost]",
            "localhost:8180:8180",
            "[127.0.0.1]",
        ] {
            assert_eq!(host("127.0.0.1:8180", foreign), Err(Refusal::ForeignHost), "{foreign}");
        }
    }

    #[test]
    fn the_address_that_a_connection_came_in_at_is_a_host_too() {
        assert_eq!(host("192.168.0.5:8180", "192.168.0.5:8180"), Ok(()));
        assert_eq!(host("[::ffff:192.168.0.5]:8180", "192.168.0.5:8180"), Ok(()));
        assert_eq!(host("[fd00::5]:8180", "[fd00::5]"), Ok(()));
        assert_eq!(host("192.168.0.5:8180", "192.168.0.6"), Err(Refusal::ForeignHost));
        assert_eq!(origin("192.168.0.5:8180", "http://192.168.0.5:8180"), Ok(()));
        assert_eq!(origin("192.168.0.5:8180", "http://192.168.0.6:8180"), Err(Refusal::ForeignOrigin));
    }

    #[test]
    fn origins_are_pages_of_this_api() {
        for own in ["http://127.0.0.1:8180", "http://localhost:8180", "http://[::1]:8180"] {
            assert_eq!(origin("127.0.0.1:8180", own), Ok(()), "{own}");
        }
        for foreign in [
            "null",
            "http://localhost",
            "https://localhost:8180",
            "http://localhost:8181",
            "http://example.org:8180",
            "http://localhost:8180/",
            "http://localhost:8180.example.org",
            "",
            "file://",
        ] {
            assert_eq!(origin("127.0.0.1:8180", foreign), Err(Refusal::ForeignOrigin), "{foreign}");
        }
        assert_eq!(origin("127.0.0.1:80", "http://localhost"), Ok(()));
    }

    #[test]
    fn a_request_has_one_host_and_at_most_one_origin() {
        let local = "127.0.0.1:8180";
        assert_eq!(checked(local, &[]), Err(Refusal::NoHost));
        assert_eq!(checked(local, &[(HOST, "localhost"), (HOST, "localhost")]), Err(Refusal::NoHost));
        let own = "http://localhost:8180";
        let twice = [(HOST, "localhost"), (ORIGIN, own), (ORIGIN, own)];
        assert_eq!(checked(local, &twice), Err(Refusal::ForeignOrigin));
    }

    #[test]
    fn a_target_that_names_another_host_is_foreign() {
        let request = Request::get("http://example.org/peers").header(HOST, "localhost").body(()).unwrap();
        let local = "127.0.0.1:8180".parse().unwrap();
        assert_eq!(check(&request, local), Err(Refusal::ForeignHost));
    }
}
