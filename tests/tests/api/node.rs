//! A node with an API, and clients for it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use driver_common::api::{self, Access, ApiLimits};
use driver_common::broadcast::{self, Feed};
use driver_common::runtime::{AppRuntime, Runtime};
use driver_common::{ApiToken, Handle, Origin, net, new_identity};
use driver_smol::Smol;
use driver_tokio::Tokio;
use proto_core::{ChatText, Config, PeerAddr};
use serde_json::Value;
use tests::http::{Response, read_response};
use tests::journal::{SOON, eventually};
use tests::process::Driver;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

/// What all nodes of the Tokio driver run on.
fn tokio() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio().block_on(future)
}

/// The default limits with these changes.
pub(crate) fn limits(change: impl FnOnce(&mut ApiLimits)) -> ApiLimits {
    let mut limits = ApiLimits::default();
    change(&mut limits);
    limits
}

/// A node that runs until it is dropped.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) addr: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) feed: Feed,
}

impl Node {
    pub(crate) fn start(driver: Driver, uname: &str) -> Self {
        Self::with(driver, uname, &[], ApiLimits::default())
    }

    pub(crate) fn with(driver: Driver, uname: &str, peers: &[&Self], limits: ApiLimits) -> Self {
        let peers = peers.iter().map(|peer| PeerAddr::Ip(peer.addr)).collect();
        Self::run(driver, uname, peers, Access::user_alone(), limits)
    }

    /// A node whose API serves these.
    pub(crate) fn serving(driver: Driver, access: Access, limits: ApiLimits) -> Self {
        Self::run(driver, "Alice", vec![], access, limits)
    }

    fn run(driver: Driver, uname: &str, peers: Vec<PeerAddr>, access: Access, limits: ApiLimits) -> Self {
        match driver {
            Driver::Tokio => {
                let _entered = tokio().enter();
                Self::on(&Tokio::current().unwrap(), Ipv4Addr::LOCALHOST, uname, peers, access, limits)
            }
            Driver::Smol => Self::on(&Smol::global(), Ipv4Addr::LOCALHOST, uname, peers, access, limits),
        }
    }

    /// A node whose API listens at this address.
    pub(crate) fn on<R: AppRuntime>(
        runtime: &R,
        ip: Ipv4Addr,
        uname: &str,
        peers: Vec<PeerAddr>,
        access: Access,
        limits: ApiLimits,
    ) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config::new(uname.parse().unwrap());
        let (listener, identity) = (net::listen(any).unwrap(), new_identity().unwrap());
        let node = driver_common::start(runtime, listener, identity, config, peers).unwrap();
        let (broadcast, feed) = broadcast::channel();
        runtime.spawn(broadcast.run(node.events, ()));
        let listener = net::listen(SocketAddr::from((ip, 0))).unwrap();
        let api = listener.local_addr().unwrap();
        let listener = runtime.listener(listener).unwrap();
        runtime.spawn(api::serve(
            runtime.clone(),
            listener,
            node.handle.clone(),
            feed.clone(),
            access,
            limits,
        ));
        Self { handle: node.handle, addr: node.local_addr, api, feed }
    }

    /// An API whose node has stopped, though its broadcast has not.
    pub(crate) fn start_stopped() -> (Self, broadcast::Broadcast) {
        let _entered = tokio().enter();
        let runtime = Tokio::current().unwrap();
        let (ip, access) = (Ipv4Addr::LOCALHOST, Access::user_alone());
        let node = Self::on(&runtime, ip, "Alice", vec![], access, ApiLimits::default());
        block_on(node.handle.shutdown());
        let (broadcast, feed) = broadcast::channel();
        let listener = net::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let api = listener.local_addr().unwrap();
        let listener = runtime.listener(listener).unwrap();
        let (access, limits) = (Access::user_alone(), ApiLimits::default());
        runtime.spawn(api::serve(
            runtime.clone(),
            listener,
            node.handle.clone(),
            feed.clone(),
            access,
            limits,
        ));
        (Self { handle: node.handle.clone(), addr: node.addr, api, feed }, broadcast)
    }

    /// Says something as a user at a terminal.
    pub(crate) fn say(&self, text: &str) {
        block_on(self.handle.say(ChatText::lines(text).unwrap(), Origin::TERMINAL)).unwrap();
    }

    pub(crate) fn send(&self, msg: &str) -> Response {
        self.post(&serde_json::json!({ "msg": msg }).to_string())
    }

    pub(crate) fn post(&self, body: &str) -> Response {
        self.request("POST", "/send", &[], body)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], "")
    }

    /// A request with more headers than it needs.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut connection = self.open();
        let host = self.api.to_string();
        let mut all = vec![("Host", &host[..])];
        all.retain(|(name, _)| !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        all.extend_from_slice(headers);
        connection.ask(method, path, &all, body)
    }

    pub(crate) fn open(&self) -> Connection {
        let stream = TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Connection { stream: BufReader::new(stream) }
    }

    /// Waits until it has so many peers.
    pub(crate) fn expect_peers(&self, count: usize) -> Vec<Value> {
        let peers = || self.get("/peers").json().as_array().unwrap().clone();
        eventually(&format!("{count} peers"), SOON, || peers().len() == count);
        peers()
    }

    /// A WebSocket that is open.
    pub(crate) fn socket(&self) -> Socket {
        self.try_socket().unwrap()
    }

    /// A WebSocket at this path.
    pub(crate) fn socket_at(&self, path: &str) -> Socket {
        self.try_socket_at(path).unwrap()
    }

    /// A WebSocket, or the status that refuses it.
    pub(crate) fn try_socket(&self) -> Result<Socket, u16> {
        self.try_socket_at("/ws")
    }

    fn try_socket_at(&self, path: &str) -> Result<Socket, u16> {
        let stream = TcpStream::connect(self.api).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        match tungstenite::client(format!("ws://{}{path}", self.api), stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        block_on(self.handle.shutdown());
    }
}

/// A token, and the access that it gives under these names.
pub(crate) fn token(hosts: &[&str]) -> (String, Access) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = ApiToken::load_or_create(&file).unwrap();
    let text = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    (text, Access::with_token(token, hosts.iter().map(|host| host.parse().unwrap()).collect()))
}

/// Two nodes that know each other.
pub(crate) fn pair(driver: Driver) -> [Node; 2] {
    let alice = Node::start(driver, "Alice");
    let bob = Node::with(driver, "Bob", &[&alice], ApiLimits::default());
    alice.expect_peers(1);
    bob.expect_peers(1);
    [alice, bob]
}

/// An HTTP connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Whether all of it could be written.
    pub(crate) fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() && method != "POST" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.write(format!("{method} {path} HTTP/1.1\r\n{headers}{length}\r\n{body}"));
        if method == "HEAD" { self.head() } else { self.answer() }
    }

    /// The next answer. No answer ever lets pages of other sites in.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Response {
        checked(read_response(&mut self.stream).unwrap())
    }

    /// The next answer's header; a body is not read.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Response {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut text).unwrap(), 0, "{text:?}");
        }
        let mut lines = text.trim_end().lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        checked(Response { status, header: lines.map(str::to_owned).collect(), body: String::new() })
    }

    /// Sends no more, and reads all answers.
    pub(crate) fn answers(&mut self) -> Vec<Response> {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
        std::iter::from_fn(|| read_response(&mut self.stream).ok()).collect()
    }

    /// Whether the other side ends it in time. What comes before is dropped.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
    }

    /// Whether it is still open, with nothing to read.
    pub(crate) fn is_open(&mut self) -> bool {
        self.stream.get_ref().set_nonblocking(true).unwrap();
        let open = self.stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.stream.get_ref().set_nonblocking(false).unwrap();
        open
    }
}

#[track_caller]
fn checked(response: Response) -> Response {
    let cors = response.header.iter().any(|line| line.to_ascii_lowercase().starts_with("access-control"));
    assert!(!cors, "{response:?}");
    response
}

/// A header of an answer.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.header.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An answer that is an error with this status, and says in JSON what is wrong.
#[track_caller]
pub(crate) fn expect_error(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(header(response, "content-type"), Some("application/json"), "{response:?}");
    let body = response.json();
    let text = body.as_object().filter(|body| body.len() == 1).and_then(|body| body["error"].as_str());
    assert!(text.is_some_and(|text| !text.is_empty()), "{response:?}");
}

/// A WebSocket's client.
pub(crate) struct Socket(WebSocket<TcpStream>);

impl Socket {
    pub(crate) fn write(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).unwrap();
    }

    /// The next text, as JSON.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next event of this kind: the value of its key, and the whole of it.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: &str) -> (Value, Value) {
        loop {
            let event = self.next();
            if let Some(value) = event.get(kind) {
                return (value.clone(), event);
            }
        }
    }

    /// The code that it is closed with, after any number of texts.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> Option<CloseCode> {
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Reads to the end, and tells how it ended.
    pub(crate) fn end(&mut self) -> Error {
        loop {
            if let Err(error) = self.0.read() {
                return error;
            }
        }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    pub(crate) fn read(&mut self) -> Result<Message, Error> {
        self.0.read()
    }

    pub(crate) fn close(mut self) {
        self.0.close(None).unwrap();
        self.end();
    }
}
