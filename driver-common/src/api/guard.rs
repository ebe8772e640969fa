//! Decides whether a request is answered: by whose it is, by the token, and by what a browser says of the page it is from.
//!
//! A page of another site that runs in the user's browser is recognized by `Origin` and by fetch metadata. A site that
//! resolves its own name to this machine (DNS rebinding) is recognized by `Host`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request};

use super::access::{Access, Presented};
use super::client::Client;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no `Host` header, or more than one.
    NoHost,
    /// `Host` names another host.
    ForeignHost,
    /// `Origin` names another site.
    ForeignOrigin,
    /// A browser says that another site's page asks for it (`Sec-Fetch-Site`), or does not say whose.
    CrossSite,
    /// It has a token that is not right, or an `Authorization` header without one.
    WrongToken,
    /// It has no token and needs one.
    NoToken(Why),
}

/// Why a request needs the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It comes from another user of this machine.
    OtherUser,
    /// The system does not tell whose it is.
    UnknownUser,
    /// `Host` is a name for which the token is needed.
    AdmittedHost,
}

/// Whose a connection is, and where it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) client: Client,
    /// The local address of the connection.
    pub(super) local: SocketAddr,
}

/// Whether the thing asked for is the same for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It is a file of the page. A browser cannot send the token when it opens a page.
    Page,
    /// It belongs to the user.
    Private,
}

/// Checks a request. Returns whether it comes from a browser.
pub(super) fn check<B>(
    request: &Request<B>,
    content: Content,
    caller: Caller,
    access: &Access,
) -> Result<bool, Refusal> {
    let headers = request.headers();
    let host = only(headers, &HOST).ok_or(Refusal::NoHost)?;
    // A target in absolute form overrides `Host` (RFC 9112, 3.2.2), so both are checked.
    let target = request.uri().authority().map(hyper::http::uri::Authority::as_str);
    let own = |host| is_own(host, caller.local, Port::MayLack);
    let all_own = own(host) && target.is_none_or(own);
    let admitted = |host| own(host) || access.admits(host);
    if !admitted(host) || !target.is_none_or(admitted) {
        return Err(Refusal::ForeignHost);
    }
    let browser = check_browser(request, host, caller.local)?;
    match access.presented(headers) {
        Presented::Right => return Ok(browser),
        Presented::Wrong => return Err(Refusal::WrongToken),
        Presented::Nothing if content == Content::Page && access.has_token() => return Ok(browser),
        Presented::Nothing => {}
    }
    match caller.client {
        Client::Other { .. } => Err(Refusal::NoToken(Why::OtherUser)),
        Client::Unknown => Err(Refusal::NoToken(Why::UnknownUser)),
        Client::User if !all_own => Err(Refusal::NoToken(Why::AdmittedHost)),
        Client::User => Ok(browser),
    }
}

/// Checks that a browser's request is one of the node's own page, or of the user. Returns whether it is a browser's.
fn check_browser<B>(request: &Request<B>, host: &str, local: SocketAddr) -> Result<bool, Refusal> {
    let headers = request.headers();
    let has_origin = headers.contains_key(ORIGIN);
    if has_origin && !only(headers, &ORIGIN).is_some_and(|origin| is_same_origin(origin, host, local)) {
        return Err(Refusal::ForeignOrigin);
    }
    let has_metadata = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
    if has_metadata {
        let from_user = matches!(*request.method(), Method::GET | Method::HEAD);
        match only(headers, &SEC_FETCH_SITE) {
            Some("same-origin") => {}
            // The user typed the address, or opened a bookmark.
            Some("none") if from_user && !has_origin => {}
            _ => return Err(Refusal::CrossSite),
        }
    }
    Ok(has_origin || has_metadata)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page with this origin is served by this API, under its own names or under the name that the request is for.
fn is_same_origin(origin: &str, host: &str, local: SocketAddr) -> bool {
    let own = origin.strip_prefix("http://").is_some_and(|from| is_own(from, local, Port::OfOrigin));
    // Behind a proxy that terminates TLS the page is one of `https`.
    let admitted = || {
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        from.is_some_and(|from| from.eq_ignore_ascii_case(host))
    };
    own || (!is_own(host, local, Port::MayLack) && admitted())
}

/// Whether the body is said to be JSON. A form, or a script without leave, cannot say so (Fetch, 2.2.2).
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = only(headers, &CONTENT_TYPE).and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
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
    use hyper::header::AUTHORIZATION;

    use super::*;
    use crate::data::ApiToken;

    fn with(
        request: &Request<()>,
        content: Content,
        client: Client,
        local: &str,
        access: &Access,
    ) -> Result<bool, Refusal> {
        check(request, content, Caller { client, local: local.parse().unwrap() }, access)
    }

    fn get(headers: &[(HeaderName, &str)]) -> Request<()> {
        let request = headers
            .iter()
            .fold(Request::get("/peers"), |request, (name, value)| request.header(name, *value));
        request.body(()).unwrap()
    }

    fn checked(local: &str, headers: &[(HeaderName, &str)]) -> Result<(), Refusal> {
        with(&get(headers), Content::Private, Client::User, local, &Access::user_alone()).map(drop)
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
        let access = Access::user_alone();
        let checked = with(&request, Content::Private, Client::User, "127.0.0.1:8180", &access);
        assert_eq!(checked, Err(Refusal::ForeignHost));
    }

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    const BEARER: &str = "Bearer 0123456789abcdef0123456789abcdef";

    fn with_token() -> Access {
        Access::with_token(ApiToken::for_tests(TOKEN), vec!["chat.example.org".parse().unwrap()])
    }

    #[test]
    fn the_user_needs_no_token_and_everybody_else_does() {
        let local = "127.0.0.1:8180";
        let others = [(Client::Other { uid: 1001 }, Why::OtherUser), (Client::Unknown, Why::UnknownUser)];
        for access in [Access::user_alone(), with_token()] {
            let ask = |client, headers: &[_]| {
                let host = [&[(HOST, "localhost")], headers].concat();
                with(&get(&host), Content::Private, client, local, &access)
            };
            assert_eq!(ask(Client::User, &[]), Ok(false));
            for (client, why) in others {
                assert_eq!(ask(client, &[]), Err(Refusal::NoToken(why)));
                let right = if access.has_token() { Ok(false) } else { Err(Refusal::WrongToken) };
                assert_eq!(ask(client, &[(AUTHORIZATION, BEARER)]), right);
            }
            assert_eq!(ask(Client::User, &[(AUTHORIZATION, "Bearer x")]), Err(Refusal::WrongToken));
        }
    }

    #[test]
    fn the_page_is_anybodys_where_there_is_a_token() {
        let local = "127.0.0.1:8180";
        for client in [Client::User, Client::Other { uid: 1001 }, Client::Unknown] {
            let request = get(&[(HOST, "localhost")]);
            assert_eq!(with(&request, Content::Page, client, local, &with_token()), Ok(false));
            let alone = with(&request, Content::Page, client, local, &Access::user_alone());
            assert_eq!(alone.is_ok(), client == Client::User);
        }
        let foreign = get(&[(HOST, "example.org")]);
        let checked = with(&foreign, Content::Page, Client::User, local, &with_token());
        assert_eq!(checked, Err(Refusal::ForeignHost));
    }

    #[test]
    fn an_admitted_name_needs_the_token_from_the_user_too() {
        let ask = |headers: &[_]| {
            with(&get(headers), Content::Private, Client::User, "127.0.0.1:8180", &with_token())
        };
        let host = (HOST, "chat.example.org:9000");
        let needed = Err(Refusal::NoToken(Why::AdmittedHost));
        assert_eq!(ask(std::slice::from_ref(&host)), needed);
        assert_eq!(ask(&[host.clone(), (AUTHORIZATION, BEARER)]), Ok(false));
        let target =
            Request::get("http://chat.example.org/peers").header(HOST, "localhost").body(()).unwrap();
        let checked = with(&target, Content::Private, Client::User, "127.0.0.1:8180", &with_token());
        assert_eq!(checked, needed, "the target counts as well");
        for (origin, same) in [
            ("http://chat.example.org:9000", true),
            ("https://chat.example.org:9000", true),
            ("https://chat.example.org", false),
            ("https://other.example.org:9000", false),
            ("null", false),
        ] {
            let checked = ask(&[host.clone(), (AUTHORIZATION, BEARER), (ORIGIN, origin)]);
            assert_eq!(checked, if same { Ok(true) } else { Err(Refusal::ForeignOrigin) }, "{origin}");
        }
    }

    #[test]
    fn a_browser_tells_whose_page_asks() {
        let ask = |method: Method, extra: &[(&str, &str)]| {
            let request = Request::builder().method(method).uri("/send").header(HOST, "localhost");
            let request = extra.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let request = request.body(()).unwrap();
            with(&request, Content::Private, Client::User, "127.0.0.1:8180", &Access::user_alone())
        };
        let site = |site| [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "cors")];
        assert_eq!(ask(Method::POST, &site("same-origin")), Ok(true));
        assert_eq!(ask(Method::GET, &site("none")), Ok(true));
        assert_eq!(ask(Method::POST, &site("none")), Err(Refusal::CrossSite));
        for foreign in ["cross-site", "same-site", "", "Same-Origin"] {
            assert_eq!(ask(Method::GET, &site(foreign)), Err(Refusal::CrossSite), "{foreign}");
        }
        assert_eq!(ask(Method::GET, &[("Sec-Fetch-Dest", "image")]), Err(Refusal::CrossSite));
        let twice = [site("same-origin"), site("same-origin")].concat();
        assert_eq!(ask(Method::GET, &twice), Err(Refusal::CrossSite));
        let own = [&site("cross-site")[..], &[("Origin", "http://localhost:8180")]].concat();
        assert_eq!(ask(Method::GET, &own), Err(Refusal::CrossSite), "both have to agree");
    }

    #[test]
    fn json_is_what_is_called_so() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("text/plain; application/json", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(is_json(get(&[(CONTENT_TYPE, kind)]).headers()), json, "{kind}");
        }
        assert!(!is_json(get(&[]).headers()));
        let json = (CONTENT_TYPE, "application/json");
        assert!(!is_json(get(&[json.clone(), json]).headers()), "twice");
    }
}
