//! Routes requests and answers them.

use std::net::SocketAddr;
use std::sync::Arc;

use async_channel::Sender;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use proto_core::{ChatTextError, EntryId, Name, NodeId, PublicKey, Status};
use serde::{Deserialize, Serialize};

use super::body::{self, BodyError};
use super::guard::{self, Caller, Content, Refusal, Why};
use super::metrics::Format;
use super::page::{FILES, File};
use super::reply::{Reply, error, json, method_not_allowed, reply, unauthorized};
use super::slots::RequestMarker;
use super::websocket::{self, Upgrade};
use super::{Api, metrics, said_lines, status};
use crate::broadcast::PageQuery;
use crate::broadcast::json::{peers, to_json};
use crate::store::{PageError, StoreStatus, StoreView};
use crate::{Handle, Me, Origin, RequestError, Said, SayError, members};

/// The routes: every path, and each method that it supports.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = FILES.iter().map(|file| (file.path, Target::Page(*file)));
    ROUTES
        .iter()
        .copied()
        .chain(files)
        .flat_map(|(path, target)| target.methods().split(", ").map(move |method| (method, path)))
}

/// The paths besides the page's files.
const ROUTES: [(&str, Target); 15] = [
    ("/peers", Target::View(View::Peers)),
    ("/members", Target::View(View::Members)),
    ("/me", Target::View(View::Me)),
    ("/mutes", Target::View(View::Mutes)),
    ("/messages", Target::View(View::Messages)),
    ("/status", Target::View(View::Status)),
    ("/metrics", Target::View(View::Metrics)),
    ("/openapi.json", Target::View(View::OpenApi)),
    ("/send", Target::Post(Post::Send)),
    ("/nick", Target::Post(Post::Nick)),
    ("/mute", Target::Post(Post::Mute)),
    ("/unmute", Target::Post(Post::Unmute)),
    ("/connect", Target::Post(Post::Connect)),
    ("/disconnect", Target::Post(Post::Disconnect)),
    ("/ws", Target::Socket),
];

/// What is at a path.
#[derive(Clone, Copy)]
enum Target {
    Page(File),
    View(View),
    Post(Post),
    Socket,
}

/// What a client can have done.
#[derive(Clone, Copy)]
enum Post {
    Send,
    Nick,
    Mute,
    Unmute,
    Connect,
    Disconnect,
}

#[derive(Clone, Copy)]
enum View {
    Peers,
    Members,
    Me,
    Mutes,
    Messages,
    Status,
    Metrics,
    OpenApi,
}

/// The description of the API. A test compares it with the routes.
const OPENAPI: &str = include_str!("openapi.json");

impl Target {
    fn at(path: &str) -> Option<Self> {
        let file = || FILES.iter().find(|file| file.path == path).copied().map(Self::Page);
        ROUTES.iter().find(|(own, _)| *own == path).map(|(_, target)| *target).or_else(file)
    }

    /// A parameter that it does not have, or that stands there twice. The page's addresses may carry some: browsers and links
    /// add them.
    fn wrong_parameter(self, query: Option<&str>) -> Option<String> {
        let parameters = match self {
            Self::Page(_) => return None,
            Self::Socket => &["v"][..],
            Self::View(View::Messages) => PageQuery::PARAMETERS,
            Self::View(_) | Self::Post(_) => &[],
        };
        let given = query?.split('&').filter(|pair| !pair.is_empty());
        let mut given: Vec<_> = given.map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
        if let Some(unknown) = given.iter().find(|name| !parameters.contains(name)) {
            return Some(format!("this path has no parameter {unknown:?}"));
        }
        given.sort_unstable();
        let twice = given.windows(2).find(|pair| pair[0] == pair[1])?;
        Some(format!("the parameter {:?} stands there twice", twice[0]))
    }

    /// The methods that it supports, as in the header `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Page(_) | Self::View(_) => "GET, HEAD",
            Self::Post(_) => "POST",
            Self::Socket => "GET",
        }
    }
}

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) marker: RequestMarker,
    /// Receives an accepted WebSocket, at most one per connection.
    pub(super) upgrades: Sender<Upgrade>,
}

impl Route {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        // What follows the header may be meant for a tunnel (RFC 9110, 9.3.6). It is not read as a request.
        let tunnel = request.method() == Method::CONNECT;
        let mut response = self.route(request).await;
        if tunnel {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Reply> {
        let target = Target::at(request.uri().path());
        let content = if matches!(target, Some(Target::Page(_))) { Content::Page } else { Content::Private };
        let browser = match guard::check(&request, content, self.caller, &self.api.access) {
            Ok(browser) => browser,
            Err(refusal) => {
                tracing::debug!(?refusal, client = ?self.caller.client, "a request was refused");
                return refused(refusal, self.api.access.has_token());
            }
        };
        let Some(target) = target else {
            return error(StatusCode::NOT_FOUND, "there is no such path");
        };
        if !target.methods().split(", ").any(|method| method == request.method().as_str()) {
            return method_not_allowed(target.methods());
        }
        if let Some(text) = target.wrong_parameter(request.uri().query()) {
            return error(StatusCode::BAD_REQUEST, &text);
        }
        match target {
            Target::Page(file) => {
                let mut response = reply(StatusCode::OK, file.content_type, file.content);
                response.body_mut().hold(self.marker.complete());
                response
            }
            Target::View(view) => self.view(view, request.uri().query(), request.headers()).await,
            Target::Post(_) if browser && !guard::is_json(request.headers()) => {
                error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a page has to send application/json")
            }
            Target::Post(post) => self.post(post, request).await,
            Target::Socket => websocket::upgrade(&self.api, request, &self.upgrades),
        }
    }

    async fn view(&self, view: View, query: Option<&str>, headers: &HeaderMap) -> Response<Reply> {
        let pending = self.marker.complete();
        let handle = &self.api.handle;
        let mut response = match view {
            View::Peers => handle.status().await.map_or_else(failed, |status| json(peers(&status.links))),
            View::Members => members::all(handle).await.map_or_else(failed, |people| json(to_json(&people))),
            View::Me => handle.me().await.map_or_else(failed, |me| json(me_json(&me))),
            View::Mutes => json(mutes_json(handle)),
            View::Messages => self.messages(query).await,
            View::Status => handle
                .status()
                .await
                .map_or_else(failed, |status| json(status::render(&status, self.store()))),
            View::Metrics => {
                let open = accepts(headers, "application/openmetrics-text");
                let format = if open { Format::OpenMetrics } else { Format::Text };
                handle.status().await.map_or_else(failed, |status| scraped(status, self.store(), format))
            }
            View::OpenApi => json(OPENAPI.to_owned()),
        };
        response.body_mut().hold(pending);
        response
    }

    fn store(&self) -> Option<StoreStatus> {
        self.api.handle.store().map(StoreView::status)
    }

    async fn messages(&self, query: Option<&str>) -> Response<Reply> {
        let query = match PageQuery::read(query.unwrap_or_default()) {
            Ok(query) => query,
            Err(refused) => return error(StatusCode::BAD_REQUEST, refused),
        };
        match self.api.feed.messages(query).await {
            Ok(messages) => json(messages),
            Err(PageError::NoSuchEntry) => error(StatusCode::NOT_FOUND, "there is no such message"),
            Err(PageError::Unavailable) => {
                error(StatusCode::SERVICE_UNAVAILABLE, "the history cannot be read now")
            }
        }
    }

    async fn post(&self, post: Post, request: Request<Incoming>) -> Response<Reply> {
        let limits = &self.api.limits;
        let wants_json = accepts(request.headers(), "application/json");
        let body = body::read(request, limits.body, limits.body_time, &self.api.timer).await;
        let pending = self.marker.complete();
        let mut response = match body {
            Ok(body) => match post {
                Post::Send => self.say(&body, wants_json).await,
                Post::Nick => self.rename(&body).await,
                Post::Mute => self.mute(&body).await,
                Post::Unmute => self.unmute(&body).await,
                Post::Connect => self.connect(&body).await,
                Post::Disconnect => self.disconnect(&body).await,
            },
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
        #[serde(deny_unknown_fields)]
        struct Send {
            msg: String,
        }
        let texts = match serde_json::from_slice(body).map(|Send { msg }| said_lines(&msg)) {
            Ok(Ok(texts)) => texts,
            Ok(Err(refused @ ChatTextError::TooLong { .. })) => {
                return error(StatusCode::PAYLOAD_TOO_LARGE, &refused.to_string());
            }
            Ok(Err(refused)) => return error(StatusCode::BAD_REQUEST, &refused.to_string()),
            Err(invalid) => return expected("{\"msg\": TEXT}", &invalid),
        };
        match self.api.handle.try_say(texts, Origin::fresh()).await {
            Ok(said) => {
                let mut response = if wants_json {
                    json(said_json(&said))
                } else {
                    reply(StatusCode::OK, "text/plain; charset=utf-8", "sent")
                };
                if !said.stored {
                    response.headers_mut().insert("chat-stored", HeaderValue::from_static("no"));
                }
                response
            }
            Err(unsaid @ SayError::TooMuch) => error(StatusCode::PAYLOAD_TOO_LARGE, &unsaid.to_string()),
            Err(unsaid @ (SayError::Busy | SayError::Stopped)) => {
                error(StatusCode::SERVICE_UNAVAILABLE, &unsaid.to_string())
            }
        }
    }
}

/// What changes the node. The answer is `{}`.
impl Route {
    async fn rename(&self, body: &[u8]) -> Response<Reply> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rename {
            uname: String,
        }
        match serde_json::from_slice(body).map(|Rename { uname }| uname.parse()) {
            Ok(Ok(name)) => done(self.api.handle.rename(name).await),
            Ok(Err(wrong)) => bad_request(wrong),
            Err(invalid) => expected("{\"uname\": NAME}", &invalid),
        }
    }

    /// Without a name, the one by which the node is known here, or else the start of its id.
    async fn mute(&self, body: &[u8]) -> Response<Reply> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Mute {
            id: NodeId,
            name: Option<String>,
        }
        let Mute { id, name } = match serde_json::from_slice(body) {
            Ok(mute) => mute,
            Err(invalid) => return expected("{\"id\": NODE-ID, \"name\": NAME}", &invalid),
        };
        let handle = &self.api.handle;
        let name = match name.map(|name| name.parse::<Name>()) {
            Some(Ok(name)) => name,
            Some(Err(wrong)) => return bad_request(wrong),
            None => match members::name_of(handle, id).await {
                Ok(name) => name,
                Err(stopped) => return failed(stopped),
            },
        };
        done(handle.mute(id, name, Origin::fresh()).await)
    }

    async fn unmute(&self, body: &[u8]) -> Response<Reply> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Unmute {
            id: NodeId,
        }
        match serde_json::from_slice(body) {
            Ok(Unmute { id }) => done(self.api.handle.unmute(id, Origin::fresh()).await),
            Err(invalid) => expected("{\"id\": NODE-ID}", &invalid),
        }
    }

    async fn connect(&self, body: &[u8]) -> Response<Reply> {
        match serde_json::from_slice(body).map(|Address { addr }| addr.parse()) {
            Ok(Ok(target)) => done(self.api.handle.connect(target).await),
            Ok(Err(wrong)) => bad_request(wrong),
            Err(invalid) => expected("{\"addr\": \"HOST:PORT\"}", &invalid),
        }
    }

    async fn disconnect(&self, body: &[u8]) -> Response<Reply> {
        match serde_json::from_slice(body).map(|Address { addr }| addr.parse()) {
            Ok(Ok(addr)) => done(self.api.handle.disconnect(addr).await),
            Ok(Err(wrong)) => bad_request(wrong),
            Err(invalid) => expected("{\"addr\": \"HOST:PORT\"}", &invalid),
        }
    }
}

/// An address that the user gives, or gives up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    addr: String,
}

fn done(result: Result<(), RequestError>) -> Response<Reply> {
    match result {
        Ok(()) => json("{}".to_owned()),
        Err(stopped @ RequestError::Stopped) => failed(stopped),
        Err(refused) => error(StatusCode::CONFLICT, &refused.to_string()),
    }
}

fn bad_request(why: impl std::fmt::Display) -> Response<Reply> {
    error(StatusCode::BAD_REQUEST, &why.to_string())
}

fn expected(form: &str, invalid: &serde_json::Error) -> Response<Reply> {
    error(StatusCode::BAD_REQUEST, &format!("expected a JSON object {form}: {invalid}"))
}

fn refused(refusal: Refusal, has_token: bool) -> Response<Reply> {
    match refusal {
        Refusal::NoHost => error(StatusCode::BAD_REQUEST, "a request needs exactly one Host header"),
        Refusal::ForeignHost => error(
            StatusCode::FORBIDDEN,
            "the Host header names another host; --api-host admits a name, with the token of --api-token-file",
        ),
        Refusal::ForeignOrigin | Refusal::CrossSite => {
            error(StatusCode::FORBIDDEN, "pages of other sites may not use this API")
        }
        Refusal::WrongToken if has_token => {
            unauthorized("the token is not the one of this node's --api-token-file")
        }
        Refusal::WrongToken => unauthorized("this node has no token; --api-token-file gives it one"),
        Refusal::NoToken(why) => needs_token(why, has_token),
    }
}

/// Says what to do about a missing token.
fn needs_token(why: Why, has_token: bool) -> Response<Reply> {
    let reason = match why {
        Why::OtherUser => "this API serves the user who runs the node, and you are another user",
        Why::UnknownUser => {
            "this API serves the user who runs the node, and the system does not tell whose this connection is"
        }
        Why::AdmittedHost => "under this name the API needs the token",
    };
    let remedy = if has_token {
        "send the token of the node's --api-token-file: 'Authorization: Bearer TOKEN', or open the page at /#token=TOKEN"
    } else {
        "the node gives access to others if it is started with --api-token-file"
    };
    let text = format!("{reason}: {remedy}");
    match why {
        Why::UnknownUser | Why::AdmittedHost if has_token => unauthorized(&text),
        _ => error(StatusCode::FORBIDDEN, &text),
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

/// Whom the user does not want to hear.
fn mutes_json(handle: &Handle) -> String {
    #[derive(Serialize)]
    struct Muted {
        id: NodeId,
        name: Name,
    }
    let muted = handle.mutes().list().into_iter().map(|(id, name)| Muted { id, name });
    to_json(&muted.collect::<Vec<_>>())
}

fn said_json(said: &Said) -> String {
    #[derive(Serialize)]
    struct Sent {
        /// The ids of the entries that contain the lines, in order.
        ids: Vec<EntryId>,
        /// The number of lines.
        texts: usize,
        /// Whether they are on the node's disk.
        stored: bool,
    }
    let Said { entries, stored, .. } = said;
    let ids = entries.iter().map(|entry| entry.id()).collect();
    to_json(&Sent { ids, texts: entries.iter().map(|entry| entry.texts().len()).sum(), stored: *stored })
}

fn scraped(status: Status, store: Option<StoreStatus>, format: Format) -> Response<Reply> {
    match metrics::render(status, store, format) {
        Ok(text) => reply(StatusCode::OK, format.content_type(), text),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded"),
    }
}

/// Whether the client lists this type among those that it accepts (RFC 9110, 12.5.1). A client that accepts anything gets
/// plain text.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|range| range.eq_ignore_ascii_case(kind));
        named && !parts.any(is_refusal)
    })
}

/// A weight of zero: `q=0`, with up to three zeros after the decimal point.
fn is_refusal(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
}

#[cfg(test)]
mod tests {
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
            assert_eq!(accepts(&headers, "application/json"), json, "{accept}");
        }
        assert!(!accepts(&HeaderMap::new(), "application/json"));
    }
}
