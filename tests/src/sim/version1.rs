//! Version 1 nodes as they are in the field, faults and all (SPEC section 2.11), in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{ConnId, NodeId};
use serde_json::{Value, json};

use super::{Actor, Dice, Happening, HostId, Lines, Nanos, Todo, World, nanos};

/// A version 1 node.
pub struct Version1 {
    id: NodeId,
    uname: String,
    addr: SocketAddr,
    targets: Vec<SocketAddr>,
    dice: Dice,
    links: BTreeMap<ConnId, Link>,
    peers: BTreeMap<String, Known>,
    dialed: BTreeSet<SocketAddr>,
    printed: Vec<String>,
}

/// The longest time from accepting a connection to its own `JOIN`.
const SPEAKS_WITHIN: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Link {
    /// When its own `JOIN` is due. Never, if the other side's comes sooner.
    speaks_at: Option<Nanos>,
    lines: Lines,
    dialed: Option<SocketAddr>,
    joined: Option<String>,
    /// `JOIN` was the last line, or came in the bytes that are being read.
    after_join: bool,
    /// It reads no more and leaves the connection open.
    deaf: bool,
}

/// A peer, at its most recent connection.
struct Known {
    conn: ConnId,
    uname: String,
    listen_addr: Option<SocketAddr>,
}

impl Version1 {
    /// One that dials these.
    pub fn new(uname: &str, addr: SocketAddr, targets: Vec<SocketAddr>, mut dice: Dice) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&dice.secret()[..16]);
        // A random UUID: version 4, variant 1.
        (id[6], id[8]) = (id[6] & 0x0f | 0x40, id[8] & 0x3f | 0x80);
        Self {
            id: NodeId::from_bytes(id),
            uname: uname.to_owned(),
            addr,
            targets,
            dice,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            dialed: BTreeSet::new(),
            printed: Vec::new(),
        }
    }

    /// Starts it on a host.
    pub fn start(self, world: &mut World, host: HostId) {
        if let Some(check) = &mut world.probes.check {
            check.speaks_version_1(host, self.id);
        }
        world.start_actor(host, Box::new(self));
    }

    /// The id that it goes by.
    pub fn id(&self) -> NodeId {
        self.id
    }

    fn dial(&mut self, addr: SocketAddr, todo: &mut Vec<Todo>) {
        if addr != self.addr && self.dialed.insert(addr) {
            todo.push(Todo::Dial(addr));
        }
    }

    fn connected(&mut self, conn: ConnId, addr: SocketAddr, todo: &mut Vec<Todo>) {
        self.links.insert(conn, Link { dialed: Some(addr), ..Link::default() });
        self.greet(conn, todo);
    }

    fn accepted(&mut self, now: Nanos, conn: ConnId, todo: &mut Vec<Todo>) {
        let at = now + nanos(self.dice.between(Duration::ZERO, SPEAKS_WITHIN));
        self.links.insert(conn, Link { speaks_at: Some(at), ..Link::default() });
        todo.push(Todo::WakeAt(at));
    }

    fn greet_due(&mut self, now: Nanos, todo: &mut Vec<Todo>) {
        let due = self.links.iter_mut().filter(|(_, link)| link.speaks_at.is_some_and(|at| at <= now));
        let due = due.map(|(conn, link)| {
            link.speaks_at = None;
            *conn
        });
        due.collect::<Vec<_>>().into_iter().for_each(|conn| self.greet(conn, todo));
    }

    fn greet(&self, conn: ConnId, todo: &mut Vec<Todo>) {
        let own =
            json!({"listen_addr": self.addr, "node_id": self.id, "uname": self.uname, "remote_addr": null});
        todo.push(Todo::Send(conn, format!("JOIN|{own}\n\n").into_bytes()));
    }

    fn read(&mut self, conn: ConnId, bytes: &[u8], todo: &mut Vec<Todo>) {
        let Some(mut link) = self.links.remove(&conn).filter(|link| !link.deaf) else { return };
        let mut lines = std::mem::take(&mut link.lines);
        let mut joined_here = false;
        lines.feed(bytes, |line| {
            let Ok(line) = std::str::from_utf8(line) else {
                link.deaf = true;
                return;
            };
            let Some((kind, payload)) = line.trim_end_matches(['\r', '\n']).split_once('|') else { return };
            match kind {
                "JOIN" => {
                    joined_here = true;
                    if let Ok(join) = serde_json::from_str(payload) {
                        self.join(conn, &mut link, &join, todo);
                    }
                }
                // At every `;`, also inside of a JSON string.
                "PEERS" => payload
                    .split(';')
                    .filter_map(|piece| serde_json::from_str(piece).ok())
                    .for_each(|record: Value| self.learn(&record, todo)),
                "MSG" if !std::mem::take(&mut link.after_join) && !joined_here => self.print(&link, payload),
                _ => {}
            }
            link.after_join = kind == "JOIN";
        });
        link.lines = lines;
        self.links.insert(conn, link);
    }

    fn join(&mut self, conn: ConnId, link: &mut Link, join: &Value, todo: &mut Vec<Todo>) {
        let id = join["node_id"].as_str().map_or_else(|| format!("{conn:?}"), str::to_owned);
        let uname = join["uname"].as_str().unwrap_or(&id).to_owned();
        let listen_addr = join["listen_addr"].as_str().and_then(|addr| addr.parse().ok());
        link.joined = Some(id.clone());
        link.speaks_at = None;
        self.peers.insert(id, Known { conn, uname, listen_addr });
        let records: Vec<_> = self
            .peers
            .iter()
            .map(|(id, peer)| {
                json!({"listen_addr": peer.listen_addr, "node_id": id, "uname": peer.uname, "remote_addr": null})
                    .to_string()
            })
            .collect();
        self.tell_all(&format!("PEERS|{}\n", records.join(";")), todo);
    }

    fn learn(&mut self, record: &Value, todo: &mut Vec<Todo>) {
        let Some(addr) = record["listen_addr"].as_str().and_then(|addr| addr.parse().ok()) else { return };
        let id = record["node_id"].as_str().unwrap_or_default();
        let here = self.peers.values().any(|peer| peer.listen_addr == Some(addr));
        if id != self.id.to_string() && !here && !self.peers.contains_key(id) {
            self.dial(addr, todo);
        }
    }

    fn print(&mut self, link: &Link, text: &str) {
        if let Some(peer) = link.joined.as_ref().and_then(|id| self.peers.get(id)) {
            self.printed.push(format!("{}: {text}", peer.uname));
        }
    }

    fn tell_all(&self, line: &str, todo: &mut Vec<Todo>) {
        todo.extend(self.peers.values().map(|peer| Todo::Send(peer.conn, line.as_bytes().to_vec())));
    }

    /// Forgets the peer, whichever of its connections this was.
    fn close(&mut self, conn: ConnId) {
        let Some(link) = self.links.remove(&conn) else { return };
        if let Some(addr) = link.dialed {
            self.dialed.remove(&addr);
        }
        if let Some(id) = link.joined {
            self.peers.remove(&id);
        }
    }
}

impl Actor for Version1 {
    fn happen(&mut self, now: Nanos, what: Happening<'_>, todo: &mut Vec<Todo>) {
        match what {
            Happening::Started => self.targets.clone().into_iter().for_each(|addr| self.dial(addr, todo)),
            Happening::Accepted(conn) => self.accepted(now, conn, todo),
            Happening::Connected(conn, addr) => self.connected(conn, addr, todo),
            Happening::Refused(addr) => _ = self.dialed.remove(&addr),
            Happening::Received(conn, bytes) => self.read(conn, bytes, todo),
            Happening::Closed(conn) => self.close(conn),
            Happening::Woken => self.greet_due(now, todo),
            Happening::Say(text) => {
                text.split('\n').for_each(|line| self.tell_all(&format!("MSG|{line}\n"), todo));
            }
        }
    }

    fn knows(&self, node_id: NodeId) -> bool {
        self.peers.contains_key(&node_id.to_string())
    }

    fn printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.printed)
    }
}
