//! A node's API: HTTP routes, WebSocket events and the page, on any runtime.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /` and its files | the page |
//! | `GET /peers` | the peers that are here: an array of `remote_addr`, `listen_addr`, `node_id`, `uname`, `key`, `version`, `state` |
//! | `GET /me` | the node itself: `listen_addr`, `node_id`, `uname`, `key`, and `started`, a Unix time in milliseconds |
//! | `GET /messages` | what was said lately, in the order of the conversation: an array of `from`, `content`, `at`, `id`, `node_id`, `own`, `signed`, `entry` |
//! | `GET /status` | how the node is doing: itself, `links` with round-trip times, `book`, `tree`, `entries`, `gaps`, `stats`, and `notices`: what is wrong, in words |
//! | `GET /metrics` | the node's figures for Prometheus |
//! | `POST /send` | says each line of `{"msg": TEXT}`; answers `sent`, or to who accepts JSON the ids of the entries: `{"ids": [ID], "texts": 1}` |
//! | `GET /ws` | a WebSocket: events come out, texts that go in are said, the text `/peers` asks for that list |
//!
//! An error is `{"error": TEXT}`. An event is one of these, and more keys may stand beside it:
//!
//! ```json
//! {"MessageReceived": {"from": "Bob", "content": "hi"}, "at": 1767225600000, "id": 1767225600000000, "node_id": "...", "signed": true, "entry": {...}}
//! {"MessageSent": {"from": "Alice", "content": "hi"}, "at": 1767225600000, "id": 1767225600000001, "signed": true, "entry": {...}}
//! {"PeerJoined": {"remote_addr": "...", "listen_addr": "...", "node_id": "...", "uname": "Bob", "key": "...", "version": 2, "state": "linked"}, "at": 1767225600000}
//! {"PeerUpdated": {"remote_addr": "...", "listen_addr": "...", "node_id": "...", "uname": "Robert", "key": "...", "version": 2, "state": "linked"}, "at": 1767225600000}
//! {"PeerDisconnected": "NODE-ID", "at": 1767225600000, "uname": "Robert", "reason": "Bye"}
//! {"Notice": {"Gap": {"node_id": "...", "uname": "Bob", "missing": 3}}, "at": 1767225600000, "text": "3 messages from Bob are missing"}
//! {"Error": "what was wrong with this socket's own text"}
//! ```
//!
//! A peer is listed while it is linked. Its `state` is `linked`, or `silent` where it was asked whether it is there and has not
//! answered for three seconds, or `slow` where it takes little or nothing of what it is sent: the link ends if that goes on. An event is of when
//! nothing was wrong yet: there it is `linked`.
//!
//! `at` is the Unix time in milliseconds when this node heard of it. `id` grows with each message, so that a client that
//! asks for `/messages` after it opened a WebSocket can tell what it has from both.
//!
//! `entry` is the signed entry that the line was in: `id`, `author` (the node's id), `uname` (its name), `key`, `epoch`, `seq`, `at` (when it was
//! said, by its author's clock), `signed`, and what is odd about it: `late` (later ones of its author came before it),
//! `forked` (its author signed another one under that number), `backdated`; `part` is which of its lines this is. Where `signed` is false, `via` names who said
//! it by the author's word: a peer that signs nothing. A line in no entry was heard from such a peer by this node itself.
//! What this node said before a restart comes back as `MessageSent`.

mod body;
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
use socket2::SockRef;

pub use self::limits::ApiLimits;
use self::slots::{ConnectionSlots, WebSocketPermits};
use self::timer::SharedTimer;
use crate::Handle;
use crate::broadcast::Feed;
use crate::runtime::{AppRuntime, Listener};

/// After a connection could not be accepted, most likely for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// When the node has stopped, WebSockets have so long to take that in.
const GOODBYE: Duration = Duration::from_secs(1);

/// What every connection works with.
struct Api {
    handle: Handle,
    feed: Feed,
    limits: ApiLimits,
    timer: SharedTimer,
    permits: WebSocketPermits,
    /// Held by every connection; the receiver is told of nothing but the last one's end.
    open: Sender<Infallible>,
}

/// Serves the API on this listener until the broadcast ends, and then until the WebSockets are closed, a second at most.
///
/// Connections run as tasks of their own. When this is dropped, those that are no WebSockets end too.
pub async fn serve<R: AppRuntime>(
    runtime: R,
    listener: R::Listener,
    handle: Handle,
    feed: Feed,
    limits: ApiLimits,
) {
    let timer = SharedTimer::new(runtime.http_timer());
    let (open, all_closed) = async_channel::bounded(1);
    let permits = WebSocketPermits::new(limits.sockets);
    let api = Arc::new(Api { handle, feed: feed.clone(), limits, timer: timer.clone(), permits, open });
    or(accept(&runtime, listener, api), feed.ended()).await;
    let closed = async {
        // Nothing is ever sent.
        let _ = all_closed.recv().await;
    };
    or(closed, timer.sleep(GOODBYE)).await;
}

async fn accept<R: AppRuntime>(runtime: &R, listener: R::Listener, api: Arc<Api>) {
    let mut slots = ConnectionSlots::new(api.limits.connections, api.limits.answer_time, api.timer.clone());
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
        let slot = slots.acquire().await;
        tracing::trace!(%remote, "an API connection");
        let io = runtime.http_io(stream);
        runtime.spawn(connection::run(api.clone(), io, local, slot));
    }
}

/// Where the connection came in; none when it is gone already.
fn local_address(stream: &impl std::os::fd::AsFd) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "a socket option was rejected");
    }
    socket.local_addr().ok()?.as_socket()
}
