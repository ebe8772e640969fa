//! A node's API: HTTP routes, WebSocket events and the page, on any runtime.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /` and its files | the page |
//! | `GET /peers` | the linked peers: an array of `remote_addr`, `listen_addr`, `node_id`, `uname`, `key`, `version`, `sealed`, `state` |
//! | `GET /members` | who is in the network, linked or not, and who was: an array of `name`, `id`, `key`, `since`, `last_heard`, `linked`, `state` |
//! | `GET /me` | the node itself: `listen_addr`, `node_id`, `uname`, `key`, and `started`, a Unix time in milliseconds |
//! | `GET /mutes` | whom the user does not want to hear: an array of `id` and `name` |
//! | `GET /messages` | the recent messages, in the order of the conversation: an array of `from`, `content`, `at`, `id`, `node_id`, `own`, `signed`, `entry`. With `before=ID.PART`, those before this line of the entry with this id; 404 if there is none, 503 while the history cannot be read. `limit` is 1 to 1,000 lines, 200 by default |
//! | `GET /status` | the state of the node: itself, `links` with round-trip times, `book`, `tree`, `entries`, `gaps`, `stats`, `targets`, `store`, and `notices`: current problems as text. `store` is null if the node keeps nothing; its `problem` is null, or why nothing can be written: `no_space`, `read_only`, `io`, `damaged`, `locked`, `cannot_open`, `other` |
//! | `GET /metrics` | metrics for Prometheus: OpenMetrics for a client that accepts it, else the text format |
//! | `GET /openapi.json` | this table as an OpenAPI document |
//! | `POST /send` | sends each line of `{"msg": TEXT}`; answers `sent`, or, to a client that accepts JSON, the ids of the entries: `{"ids": [ID], "texts": 1, "stored": true}`. It answers when they are on the disk; if they are not kept, the header has `Chat-Stored: no`, and `stored` is false |
//! | `POST /nick` | changes the user's name: `{"uname": NAME}`; answers `{}` |
//! | `POST /mute`, `POST /unmute` | hides what a node says on the page and the terminal, from now on, or undoes it: `{"id": NODE-ID}`; with `/mute` also `"name"`, by default the one that it has here. Answer `{}` |
//! | `POST /connect`, `POST /disconnect` | dials an address, or no more: `{"addr": "HOST:PORT"}`; answer `{}` |
//! | `GET /ws` | a WebSocket: it sends events; each text received is sent as a message; the text `/peers` requests the list of peers. The parameter `v` is 1, the default, or 2 |
//!
//! Unknown parameters, unknown keys of a body, and texts of white space are refused (400).
//!
//! The API serves the user who runs the node, and root: on Linux the kernel tells whose the other end of each connection
//! is. Whoever else sends the token of `--api-token-file` is served, too: `Authorization: Bearer TOKEN`. A page cannot set
//! headers of a WebSocket, so it offers the subprotocols `p2p-chat` and `p2p-chat.token.TOKEN`; the answer names the first.
//! The page's files hold nothing private and need no token where there is one. Another user without the token is answered
//! 403; a wrong token, or none from a client whose user is not known, 401.
//!
//! A request with `Origin` or `Sec-Fetch-*` is a browser's: it has to come from the node's own page, and its `POST /send`
//! has to be `application/json` (415).
//!
//! An error is `{"error": TEXT}`. An event has one of these forms. Further keys may be added:
//!
//! ```json
//! {"MessageReceived": {"from": "Bob", "content": "hi"}, "at": 1767225600000, "id": 1767225600000000, "node_id": "...", "signed": true, "entry": {...}}
//! {"MessageSent": {"from": "Alice", "content": "hi"}, "at": 1767225600000, "id": 1767225600000001, "signed": true, "entry": {...}}
//! {"PeerJoined": {"remote_addr": "...", "listen_addr": "...", "node_id": "...", "uname": "Bob", "key": "...", "version": 2, "sealed": true, "state": "linked"}, "at": 1767225600000}
//! {"PeerUpdated": {"remote_addr": "...", "listen_addr": "...", "node_id": "...", "uname": "Robert", "key": "...", "version": 2, "sealed": true, "state": "linked"}, "at": 1767225600000}
//! {"PeerDisconnected": "NODE-ID", "at": 1767225600000, "uname": "Robert", "reason": "Bye"}
//! {"Notice": {"Gap": {"node_id": "...", "uname": "Bob", "missing": 3}}, "at": 1767225600000, "text": "3 messages from Bob are missing"}
//! {"Notice": {"StoreFailed": {"problem": "no_space"}}, "at": 1767225600000, "text": "messages are not being kept: ..."}
//! {"Error": "why this socket's text was not sent"}
//! ```
//!
//! A WebSocket of version 2 sends objects with one key alone. Each event has `id`, `at`, `said_at` (by its author's clock),
//! `history`, and `own`. Answers are `Peers`, `Sent` with the ids of the entries, and `Error`:
//!
//! ```json
//! {"Message": {"id": 1767225600000000, "at": 1767225600000, "said_at": 1767225599990, "history": false, "own": false, "from": "Bob", "content": "hi", "node_id": "...", "signed": true, "entry": {...}}}
//! {"PeerJoined": {"id": 1767225600000001, "at": 1767225600000, "said_at": 1767225600000, "history": false, "own": false, "peer": {...}}}
//! {"PeerLeft": {..., "peer": {...}, "reason": "Bye"}}
//! {"Member": {..., "change": "Joined", "member": {"node_id": "...", "key": "...", "uname": "Carol", "since": 1767225600000, "heard": 1767225600000, "state": "here"}}}
//! {"Mute": {..., "node_id": "...", "uname": "Mallory", "muted": true}}
//! {"Notice": {..., "notice": {"Gap": {...}}, "text": "3 messages from Bob are missing"}}
//! {"Peers": [{...}]}
//! {"Sent": {"id": "...", "ids": ["..."], "texts": 1, "stored": true}}
//! {"Error": "why this text was not sent"}
//! ```
//!
//! In `GET /status`, `targets` are the addresses that the user gave: `addr`, `state` (`waiting`, `dialing`, `linked` or `own`),
//! `node_id` (who is linked there), `dial_in_ms`, and `error` (why the last attempt failed).
//!
//! A peer is listed while it is linked. Its `state` is `linked`; or `silent` if it has not answered a ping for three
//! seconds; or `slow` if it receives little or nothing of what it is sent. If that continues, the link ends. Events
//! always show `linked`.
//!
//! `at` is the Unix time in milliseconds when this node learned of the event. `id` grows with each message, so a client
//! that loads `/messages` after it opened a WebSocket can remove duplicates. Messages of before the start have lower ids, which
//! differ from start to start: the `id` and `part` of an `entry` are the same for ever. A socket tells nothing of before the
//! start. Notices of the store are `StoreFailed`, `StoreWorks`, `StoreSetAside` with the `file`, and `StoreDamaged` with the
//! number of `entries`.
//!
//! `entry` describes the signed entry that contains the line: `id`, `author` (its node id), `uname` (its name), `key`,
//! `epoch`, `seq`, `at` (the time by its author's clock), `signed`, and the marks `late` (later entries of its author
//! arrived first), `forked` (its author signed another entry with the same number), `backdated`, `behind` (it is dated
//! before entries that were shown before it), `history` (it is from before this node came, came late, or waited here for more
//! than a minute), `catch_up` (it came with the first catch-up, of whose end the notice `CaughtUp` tells), `name_taken`
//! (another key used its author's name before), and `repeated` (the indices of its lines that were shown before; they are
//! left out). A mark that is absent is false, or empty. `part` is the index of the line in the entry. If `signed` is false,
//! `via` names the peer without a key that sent the line, as the author claims; such entries have the `class` `line`, and
//! numbers of their own. A line without `entry` came from such a peer directly. Messages that this node sent before a restart come
//! back as `MessageSent`.

mod access;
mod body;
mod client;
mod connection;
mod guard;
mod limits;
mod metrics;
mod page;
mod reply;
mod route;
mod slots;
mod status;
mod timer;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;
use futures_lite::future::or;
use hyper::rt::Timer;
use proto_core::{ChatText, ChatTextError};
use socket2::SockRef;

pub use self::access::{Access, ApiHost, ApiHostError};
pub use self::client::CLIENTS_ARE_KNOWN;
use self::client::Client;
use self::guard::Caller;
pub use self::limits::ApiLimits;
pub use self::route::routes;
use self::slots::{ConnectionSlots, WebSocketPermits};
use self::timer::SharedTimer;
pub use self::websocket::Protocol as WebSocketProtocol;
use crate::Handle;
use crate::broadcast::Feed;
use crate::runtime::{AppRuntime, Listener};

/// The lines of a text that a client wants to be said, without those of white space. The error: nothing is left, or a line is
/// too long.
fn said_lines(text: &str) -> Result<Vec<ChatText>, ChatTextError> {
    let mut lines = ChatText::lines(text)?;
    lines.retain(|line| !line.as_str().trim().is_empty());
    if lines.is_empty() { Err(ChatTextError::Empty) } else { Ok(lines) }
}

/// The pause after a failed accept, which most likely means that no descriptor is free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long WebSockets may take to close after the node has stopped.
const GOODBYE: Duration = Duration::from_secs(1);

/// The state that all connections share.
struct Api {
    handle: Handle,
    feed: Feed,
    access: Access,
    limits: ApiLimits,
    timer: SharedTimer,
    permits: WebSocketPermits,
    /// Every connection holds a clone. The channel closes when the last one ends.
    open: Sender<Infallible>,
}

/// Serves the API on this listener until the broadcast ends, and then until the WebSockets are closed, but at most a
/// second longer.
///
/// Connections run as their own tasks. When this future is dropped, connections that are not WebSockets end, too.
pub async fn serve<R: AppRuntime>(
    runtime: R,
    listener: R::Listener,
    handle: Handle,
    feed: Feed,
    access: Access,
    limits: ApiLimits,
) {
    let timer = SharedTimer::new(runtime.http_timer());
    let (open, all_closed) = async_channel::bounded(1);
    let permits = WebSocketPermits::new(limits.sockets);
    let api =
        Arc::new(Api { handle, feed: feed.clone(), access, limits, timer: timer.clone(), permits, open });
    or(accept(&runtime, listener, api), feed.ended()).await;
    let closed = async {
        // The channel carries no messages.
        let _ = all_closed.recv().await;
    };
    or(closed, timer.sleep(GOODBYE)).await;
}

async fn accept<R: AppRuntime>(runtime: &R, listener: R::Listener, api: Arc<Api>) {
    let slots = || ConnectionSlots::new(api.limits.connections, api.limits.answer_time, api.timer.clone());
    // Apart, so that nobody else takes the user's slots.
    let (mut users, mut others) = (slots(), slots());
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an API connection");
                api.timer.sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Some(local) = local_address(&stream) else { continue };
        let client = Client::of_connection(remote, local);
        let slot = match client {
            Client::User => Some(users.acquire().await),
            // The user's connections do not wait for others.
            Client::Other { .. } | Client::Unknown => others.try_acquire(client),
        };
        let Some(slot) = slot else {
            tracing::debug!(?client, "an API connection was closed: too many are open");
            continue;
        };
        tracing::trace!(%remote, ?client, "an API connection");
        let io = runtime.http_io(stream);
        runtime.spawn(connection::run(api.clone(), io, Caller { client, local }, slot));
    }
}

/// The local address of the connection. `None` if it has already ended.
fn local_address(stream: &impl std::os::fd::AsFd) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "a socket option was rejected");
    }
    socket.local_addr().ok()?.as_socket()
}
