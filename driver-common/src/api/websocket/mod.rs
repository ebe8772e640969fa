//! WebSockets (RFC 6455): the opening handshake, and running the connection.

mod pipe;
mod protocol;
mod session;
mod socket;

use std::sync::Arc;

use async_channel::Sender;
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

pub use self::protocol::Protocol;
use self::socket::Socket;
use super::Api;
use super::access::{PROTOCOL, protocols};
use super::guard::only;
use super::reply::{Reply, error};
use super::slots::WebSocketPermit;
use crate::Origin;
use crate::broadcast::{Form, Subscription};

/// A WebSocket that is about to open.
pub(super) struct Upgrade {
    upgraded: OnUpgrade,
    origin: Origin,
    form: Form,
    /// Subscribed before the client gets its answer, so that it misses no event.
    events: Subscription,
    permit: WebSocketPermit,
}

/// Answers the opening handshake (RFC 6455, 4.2).
pub(super) fn upgrade(
    api: &Api,
    mut request: Request<Incoming>,
    upgrades: &Sender<Upgrade>,
) -> Response<Reply> {
    let form = match form(request.uri().query()) {
        Ok(form) => form,
        Err(text) => return error(StatusCode::BAD_REQUEST, &text),
    };
    let accept = match accept_key(request.version(), request.headers()) {
        Ok(accept) => accept,
        Err(response) => return *response,
    };
    // Whatever follows the header has to be the first frame, for everybody who reads it.
    if !request.body().is_end_stream() {
        return error(StatusCode::BAD_REQUEST, "a request for a WebSocket has no body");
    }
    let protocol = protocols(request.headers()).any(|protocol| protocol == PROTOCOL);
    let Some(permit) = api.permits.acquire() else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets are open");
    };
    let origin = Origin::fresh();
    let Some(events) = api.feed.subscribe(origin, form, api.limits.queue) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the node has stopped");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    if upgrades.try_send(Upgrade { upgraded, origin, form, events, permit }).is_err() {
        return error(StatusCode::BAD_REQUEST, "this connection is already a WebSocket");
    }
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend([
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ]);
    if protocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    response
}

/// Runs the WebSocket until it ends.
pub(super) async fn run(api: &Arc<Api>, upgrade: Upgrade) {
    let Upgrade { upgraded, origin, form, events, permit } = upgrade;
    let result = match upgraded.await {
        Ok(io) => Socket::new(io, (origin, form), events, api.clone()).run().await,
        Err(error) => Err(std::io::Error::other(error)),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a WebSocket failed");
    }
    drop(permit);
}

/// The form of the events that the client asks for: `v=1`, or nothing, or `v=2`.
fn form(query: Option<&str>) -> Result<Form, String> {
    match query {
        None | Some("" | "v=1") => Ok(Form::V1),
        Some("v=2") => Ok(Form::V2),
        Some(_) => Err("the only parameter of this path is v, which is 1 or 2".to_owned()),
    }
}

/// The answer to the client's key, or an error.
fn accept_key(version: Version, headers: &HeaderMap) -> Result<HeaderValue, Box<Response<Reply>>> {
    if version != Version::HTTP_11 || !has_token(headers, &UPGRADE, "websocket") {
        return Err(upgrade_required("this path is for WebSockets only"));
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(Box::new(error(StatusCode::BAD_REQUEST, "the Connection header does not list Upgrade")));
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required("only version 13 of the WebSocket protocol is supported"));
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    accept.ok_or_else(|| {
        Box::new(error(StatusCode::BAD_REQUEST, "the Sec-WebSocket-Key header is not 16 bytes in Base64"))
    })
}

fn upgrade_required(text: &str) -> Box<Response<Reply>> {
    let mut response = error(StatusCode::UPGRADE_REQUIRED, text);
    response.headers_mut().extend([
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
    ]);
    Box::new(response)
}

/// Whether the header lists this token, ignoring case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Whether this is 16 bytes in Base64: 22 digits, of which the last holds two bits, and `==`.
fn is_key(key: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22 && digits.bytes().all(digit) && digits.ends_with(['A', 'Q', 'g', 'w'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        for key in ["dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert!(is_key(key), "{key}");
        }
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "dGhl IHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn a_token_is_found_in_any_list_and_case() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, UpGrade"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgraded"));
        assert!(!has_token(&headers, &CONNECTION, "upgrade"));
    }
}
