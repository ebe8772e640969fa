//! Routes requests and answers them.

use std::net::SocketAddr;
use std::sync::Arc;

use async_channel::Sender;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use proto_core::{ChatText, ChatTextError, Entry, EntryId, Name, NodeId, PublicKey, Status};
use serde::{Deserialize, Serialize};

use super::body::{self, BodyError};
use super::guard::{self, Refusal};
use super::reply::{Reply, error, json, method_not_allowed, reply};
use super::slots::RequestMarker;
use super::websocket::{self, Upgrade};
use super::{Api, metrics, page, status};
use crate::broadcast::json::{peers, to_json};
use crate::{Me, Origin, RequestError, SayError};

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) api: Arc<Api>,
    /// The local address of the connection.
    pub(super) local: SocketAddr,
    pub(super) marker: RequestMarker,
    /// Receives an accepted WebSocket, at most one per connection.
    pub(super) upgrades: Sender<Upgrade>,
}

impl Route {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        if let Err(refusal) = guard::check(&request, self.local) {
            tracing::debug!(?refusal, "a request was refused");
            return refused(refusal);
        }
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/send" if request.method() == Method::POST => self.send(request).await,
            "/send" => method_not_allowed("POST"),
            "/ws" if request.method() == Method::GET => {
                websocket::upgrade(&self.api, request, &self.upgrades)
            }
            "/ws" => method_not_allowed("GET"),
            path @ ("/peers" | "/me" | "/messages" | "/metrics" | "/status") if read => self.view(path).await,
            "/peers" | "/me" | "/messages" | "/metrics" | "/status" => method_not_allowed("GET, HEAD"),
            path => match page::file(path) {
                Some(file) if read => {
                    let mut response = reply(StatusCode::OK, file.content_type, file.content);
                    response.body_mut().hold(self.marker.complete());
                    response
                }
                Some(_) => method_not_allowed("GET, HEAD"),
                None => error(StatusCode::NOT_FOUND, "there is no such path"),
            },
        }
    }

    async fn view(&self, path: &str) -> Response<Reply> {
        let pending = self.marker.complete();
        let mut response = match path {
            "/messages" => json(self.api.feed.messages()),
            "/metrics" => self.api.handle.status().await.map_or_else(failed, scraped),
            "/status" => {
                let status = self.api.handle.status().await;
                status.map_or_else(failed, |status| json(status::render(&status)))
            }
            "/me" => self.api.handle.me().await.map_or_else(failed, |me| json(me_json(&me))),
            _ => self.api.handle.status().await.map_or_else(failed, |status| json(peers(&status.links))),
        };
        response.body_mut().hold(pending);
        response
    }

    async fn send(&self, request: Request<Incoming>) -> Response<Reply> {
        let limits = &self.api.limits;
        let wants_json = accepts_json(request.headers());
        let body = body::read(request, limits.body, limits.body_time, &self.api.timer).await;
        let pending = self.marker.complete();
        let mut response = match body {
            Ok(body) => self.say(&body, wants_json).await,
            Err(BodyError::TooLarge) => {
                let text = format!("a body must be at most {} bytes", limits.body);
                error(StatusCode::PAYLOAD_TOO_LARGE, &text)
            }
            Err(BodyError::TooSlow) => error(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"),
            Err(BodyError::Broken) => error(StatusCode::BAD_REQUEST, "the body is malformed"),
        };
        response.body_mut().hold(pending);
        response
    }

    async fn say(&self, body: &[u8], wants_json: bool) -> Response<Reply> {
        #[derive(Deserialize)]
        struct Send {
            msg: String,
        }
        let texts = match serde_json::from_slice(body).map(|Send { msg }| ChatText::lines(&msg)) {
            Ok(Ok(texts)) => texts,
            Ok(Err(refused @ ChatTextError::TooLong { .. })) => {
                return error(StatusCode::PAYLOAD_TOO_LARGE, &refused.to_string());
            }
            Ok(Err(refused)) => return error(StatusCode::BAD_REQUEST, &refused.to_string()),
            Err(invalid) => {
                let text = format!("expected a JSON object {{\"msg\": TEXT}}: {invalid}");
                return error(StatusCode::BAD_REQUEST, &text);
            }
        };
        match self.api.handle.try_say(texts, Origin::fresh()).await {
            Ok(entries) if wants_json => json(said_json(&entries)),
            Ok(_) => reply(StatusCode::OK, "text/plain; charset=utf-8", "sent"),
            Err(unsaid @ SayError::TooMuch) => error(StatusCode::PAYLOAD_TOO_LARGE, &unsaid.to_string()),
            Err(unsaid @ (SayError::Busy | SayError::Stopped)) => {
                error(StatusCode::SERVICE_UNAVAILABLE, &unsaid.to_string())
            }
        }
    }
}

fn refused(refusal: Refusal) -> Response<Reply> {
    match refusal {
        Refusal::NoHost => error(StatusCode::BAD_REQUEST, "a request needs exactly one Host header"),
        Refusal::ForeignHost => error(StatusCode::FORBIDDEN, "the Host header names another host"),
        Refusal::ForeignOrigin => error(StatusCode::FORBIDDEN, "pages of other sites may not use this API"),
    }
}

fn failed(unanswered: RequestError) -> Response<Reply> {
    error(StatusCode::SERVICE_UNAVAILABLE, &unanswered.to_string())
}

fn me_json(me: &Me) -> String {
    #[derive(Serialize)]
    struct Myself<'a> {
        listen_addr: SocketAddr,
        node_id: NodeId,
        uname: &'a Name,
        key: PublicKey,
        started: u64,
    }
    let Me { listen_addr, node_id, uname, key, started } = me;
    to_json(&Myself { listen_addr: *listen_addr, node_id: *node_id, uname, key: *key, started: *started })
}

fn said_json(entries: &[Arc<Entry>]) -> String {
    #[derive(Serialize)]
    struct Sent {
        /// The ids of the entries that contain the lines, in order.
        ids: Vec<EntryId>,
        /// The number of lines.
        texts: usize,
    }
    let ids = entries.iter().map(|entry| entry.id()).collect();
    to_json(&Sent { ids, texts: entries.iter().map(|entry| entry.texts().len()).sum() })
}

fn scraped(status: Status) -> Response<Reply> {
    match metrics::render(status) {
        Ok(text) => reply(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded"),
    }
}

/// Whether the client lists JSON among the types that it accepts (RFC 9110, 12.5.1). A client that accepts anything
/// gets plain text.
fn accepts_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
        json && !parts.any(is_refusal)
    })
}

/// A weight of zero: `q=0`, with up to three zeros after the decimal point.
fn is_refusal(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn json_is_accepted_by_those_who_name_it() {
        for (accept, json) in [
            ("application/json", true),
            ("text/html, Application/JSON;q=0.5", true),
            ("application/json; charset=utf-8", true),
            ("*/*", false),
            ("application/*", false),
            ("text/plain", false),
            ("application/json;q=0", false),
            ("application/json; Q=0.000", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(accepts_json(&headers), json, "{accept}");
        }
        assert!(!accepts_json(&HeaderMap::new()));
    }
}
