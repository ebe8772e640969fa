//! A node by itself, to which a vector's peers speak.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::wire::{Frame, Hello, Line, Parsed, parse};
use proto_core::{Action, Config, ConnId, Identity, Input, Instant, Message, NetworkId, Node, Violation};
use serde_json::json;

use super::Failure;
use crate::sim::Lines;
use crate::sim::hostile::Keys;

/// A node, and what it has done since it was last looked at.
pub(super) struct Listener {
    pub(super) node: Node,
    network: NetworkId,
    now: Instant,
    lines: BTreeMap<ConnId, Lines>,
    done: Done,
}

/// What a node did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) reports: Vec<Violation>,
    pub(super) closed: Vec<ConnId>,
    pub(super) shown: Vec<Message>,
    /// The lines that it said, without their ends.
    pub(super) said: Vec<(ConnId, String)>,
}

impl Done {
    /// The lines of these types that it said on a connection.
    pub(super) fn lines(&self, conn: ConnId, kinds: &[&str]) -> Vec<&str> {
        let of_kind = |line: &&str| kinds.contains(&line.split('|').next().unwrap_or_default());
        self.said
            .iter()
            .filter(|(on, _)| *on == conn)
            .map(|(_, line)| line.as_str())
            .filter(of_kind)
            .collect()
    }
}

impl Listener {
    /// A node of the open network that was told what time it is.
    pub(super) fn new(secret: &[u8; 32], unix_ms: u64) -> Self {
        Self::of_network(NetworkId::OPEN, secret, unix_ms)
    }

    /// A node of this network. Its peers belong to the same one.
    pub(super) fn of_network(network: NetworkId, secret: &[u8; 32], unix_ms: u64) -> Self {
        let config =
            Config::builder("Node".parse().expect("a name")).network(network).trust_loopback(true).build();
        let node =
            Node::new(config.expect("limits"), Identity::from_secret(secret), [7; 32], Instant::ORIGIN);
        let mut listener =
            Self { node, network, now: Instant::ORIGIN, lines: BTreeMap::new(), done: Done::default() };
        listener.input(Input::wall_clock(unix_ms));
        listener
    }

    /// A peer connects.
    pub(super) fn accept(&mut self, conn: ConnId) {
        self.input(Input::accepted(conn, SocketAddr::from(([127, 0, 0, 5], 50_000))));
    }

    /// A peer speaks. What the node did, without waiting for anything.
    pub(super) fn hear(&mut self, conn: ConnId, bytes: impl AsRef<[u8]>) -> Done {
        self.input(Input::received(conn, bytes.as_ref()));
        std::mem::take(&mut self.done)
    }

    /// Time passes. What the node did meanwhile.
    pub(super) fn pass(&mut self, time: Duration) -> Done {
        let end = self.now + time;
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = end;
        self.input(Input::Timeout);
        std::mem::take(&mut self.done)
    }

    /// A peer connects and says `JOIN` with its key and this nonce; the node's `JOIN`, and what it did then.
    pub(super) fn introduce(
        &mut self,
        conn: ConnId,
        secret: &[u8; 32],
        nonce: &str,
    ) -> Result<(Hello, Done), Failure> {
        let keys = Keys::new(*secret);
        let join = json!({"node_id": keys.node_id(), "uname": "Peer", "v": 2, "nonce": nonce, "links": 0, "key": keys.key(), "net": self.network});
        self.accept(conn);
        let done = self.hear(conn, format!("JOIN|{join}\n"));
        let theirs = done.lines(conn, &["JOIN"]);
        let theirs = theirs.first().and_then(|line| match parse(Line::Text(line), 0) {
            Ok(Parsed::Frame(Frame::Join(join))) => join.hello,
            _ => None,
        });
        Ok((theirs.ok_or("the node said no JOIN of version 2")?, done))
    }

    /// A peer connects and proves its key.
    pub(super) fn link(&mut self, conn: ConnId, secret: &[u8; 32]) -> Result<Done, Failure> {
        let (hello, _) = self.introduce(conn, secret, "n")?;
        let key = hello.key.ok_or("the node said no key")?;
        let proof =
            Keys::in_network(*secret, self.network).proof("n", hello.nonce.as_str(), &key.to_string());
        let done = self.hear(conn, format!("PROOF|{proof}\nPEERS|\n"));
        let id = Identity::from_secret(secret).node_id();
        let here = self.node.peers().any(|peer| peer.node_id == id);
        if here { Ok(done) } else { Err(format!("the peer is not here: {:?}", done.reports)) }
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::SendFrame { conn, bytes } => {
                    self.said(conn, &bytes);
                    self.node.handle_input(self.now, Input::flushed(conn));
                }
                Action::Close { conn } | Action::Abort { conn } => self.done.closed.push(conn),
                Action::Deliver(message) => self.done.shown.push(message),
                Action::Report { violation, .. } => self.done.reports.push(violation),
                _ => {}
            }
        }
    }

    fn said(&mut self, conn: ConnId, bytes: &[u8]) {
        let Self { lines, done, .. } = self;
        lines.entry(conn).or_default().feed(bytes, |line| {
            done.said.push((conn, String::from_utf8_lossy(line).trim_end_matches('\n').to_owned()));
        });
    }
}
