//! The network between hosts: connections whose bytes take their time, and everything that can befall them.
//!
//! It knows no node. [`World`](super::World) asks it to carry bytes, and takes out what has arrived when an event says so.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use proto_core::ConnId;

use super::queue::Queue;
use super::random::Dice;
use super::{Event, HostId, Nanos, nanos};

/// How long a packet takes from one host to another.
#[derive(Clone, Copy, Debug)]
pub enum Latency {
    /// The same for all.
    Constant(Duration),
    /// Each pair of hosts has its own, drawn between these two.
    Uniform(Duration, Duration),
    /// Each pair of hosts has its own, drawn with this mean; ten times the mean at most.
    Exponential(Duration),
}

/// What holds of the whole network.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// Between each two hosts.
    pub latency: Latency,
    /// What may come on top of it, drawn for each packet.
    pub jitter: Duration,
    /// How often a packet is lost on the way. It is sent again after two round trips, then after twice as long, and what
    /// was sent behind it waits for it.
    pub loss: f64,
    /// How often what arrives is cut in two, at any byte.
    pub split: f64,
    /// Bytes that are under way or not read yet on a connection before its sender has to wait.
    pub window: usize,
    /// How long the operating system takes at most to take bytes; none: it takes them at once.
    pub flush: Option<Duration>,
    /// Bytes a second of each connection; none: any number.
    pub bandwidth: Option<u64>,
    /// How long what was sent may go unacknowledged before the operating system gives a connection up; none: for ever.
    pub unacknowledged: Option<Duration>,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            latency: Latency::Uniform(Duration::from_millis(10), Duration::from_millis(50)),
            jitter: Duration::ZERO,
            loss: 0.0,
            split: 0.0,
            window: 256 * 1024,
            flush: None,
            bandwidth: None,
            // As the drivers set it on their sockets.
            unacknowledged: Some(Duration::from_secs(30)),
        }
    }
}

/// Bytes in one packet on a slow wire, about as many as TCP sends.
const SEGMENT: usize = 1_400;

/// A line across which nothing gets through.
#[derive(Clone, Debug)]
pub struct Partition {
    /// On which side each host is; those behind the end are on side 0.
    pub side: Vec<u8>,
    /// Only what goes from side 0 to another is lost.
    pub one_way: bool,
}

impl Partition {
    fn blocks(&self, from: HostId, to: HostId) -> bool {
        let side = |host: HostId| self.side.get(host as usize).copied().unwrap_or_default();
        let (from, to) = (side(from), side(to));
        from != to && (!self.one_way || from == 0)
    }
}

/// What an end of a connection gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes: this part of them.
    Bytes(Vec<u8>, Range<usize>),
    /// The other side has ended the connection.
    End,
}

/// The network.
#[derive(Debug)]
pub struct Net {
    /// What holds of all connections.
    pub config: NetConfig,
    /// Lines across which nothing gets through.
    pub partitions: Vec<Partition>,
    ends: Vec<Option<End>>,
    free: Vec<usize>,
    opened: u64,
    pairs: u64,
    dice: Dice,
    /// Packets that were cut in two.
    pub splits: u64,
}

/// One end of a connection, and what is on its way to it.
#[derive(Debug)]
struct End {
    conn: ConnId,
    host: HostId,
    peer: HostId,
    other: ConnId,
    incoming: VecDeque<Packet>,
    /// What comes next arrives no sooner: streams keep their order.
    arrives: Nanos,
    /// When the wire to it is free again.
    busy_until: Nanos,
    paused: bool,
    /// Nothing arrives here any more.
    lost: bool,
    /// This side has ended its output.
    finished: bool,
    /// Bytes sent from here that the other side has not read yet.
    unread: usize,
    /// Bytes of what was last sent from here that the operating system has not taken.
    untaken: usize,
    /// When this side is next told how much was taken: it learns of it in order.
    told_at: Nanos,
    bandwidth: Option<u64>,
    /// Something sent from here will not be acknowledged, and this side gives the connection up some time.
    doubted: bool,
}

#[derive(Debug)]
struct Packet {
    sent: Nanos,
    at: Nanos,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes { bytes: Vec<u8>, from: usize },
    End,
}

/// Bits of a connection's number that say where its end is kept; those above count up.
const SLOT_BITS: u32 = 24;

impl Net {
    /// A network without connections.
    pub fn new(config: NetConfig, mut dice: Dice) -> Self {
        let pairs = dice.roll();
        Self {
            config,
            partitions: Vec::new(),
            ends: Vec::new(),
            free: Vec::new(),
            opened: 0,
            pairs,
            dice,
            splits: 0,
        }
    }

    /// Whether packets from one host to another are lost now.
    pub fn blocks(&self, from: HostId, to: HostId) -> bool {
        self.partitions.iter().any(|partition| partition.blocks(from, to))
    }

    /// How long a packet between two hosts takes now.
    pub fn delay(&mut self, one: HostId, other: HostId) -> Nanos {
        let (low, high) = (one.min(other) as u64, one.max(other) as u64);
        let base = match self.config.latency {
            Latency::Constant(time) => time,
            Latency::Uniform(..) | Latency::Exponential(_) => {
                let mut pair = Dice::new(self.pairs ^ (low << 32 | high));
                match self.config.latency {
                    Latency::Uniform(least, most) => pair.between(least, most),
                    Latency::Exponential(mean) | Latency::Constant(mean) => {
                        pair.exponential(mean).min(mean * 10)
                    }
                }
            }
        };
        let jitter = self.config.jitter;
        let extra = if jitter.is_zero() { 0 } else { self.dice.below(nanos(jitter)) };
        nanos(base) + extra
    }

    /// Opens a connection; nothing arrives at the first end before `ready`.
    pub fn open(&mut self, from: HostId, to: HostId, now: Nanos, ready: Nanos) -> [ConnId; 2] {
        let [near, far] = [(); 2].map(|()| self.number());
        for (conn, host, peer, other, arrives) in [(near, from, to, far, ready), (far, to, from, near, now)] {
            self.ends[slot(conn)] = Some(End {
                conn,
                host,
                peer,
                other,
                incoming: VecDeque::new(),
                arrives,
                busy_until: 0,
                paused: false,
                lost: false,
                finished: false,
                unread: 0,
                untaken: 0,
                told_at: 0,
                bandwidth: self.config.bandwidth,
                doubted: false,
            });
        }
        [near, far]
    }

    fn number(&mut self) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.ends.push(None);
            self.ends.len() - 1
        });
        self.opened += 1;
        ConnId(self.opened << SLOT_BITS | slot as u64)
    }

    fn end(&self, conn: ConnId) -> Option<&End> {
        self.ends.get(slot(conn))?.as_ref().filter(|end| end.conn == conn)
    }

    fn end_mut(&mut self, conn: ConnId) -> Option<&mut End> {
        self.ends.get_mut(slot(conn))?.as_mut().filter(|end| end.conn == conn)
    }

    /// Whose end this is, while the connection is there.
    pub fn host(&self, conn: ConnId) -> Option<HostId> {
        self.end(conn).map(|end| end.host)
    }

    /// Whether this side has ended its output.
    pub fn is_finished(&self, conn: ConnId) -> bool {
        self.end(conn).is_some_and(|end| end.finished)
    }

    /// The host at the other end.
    pub fn peer(&self, conn: ConnId) -> Option<HostId> {
        self.end(conn).map(|end| end.peer)
    }

    /// Whether something has been on its way to this end for so long, or gets lost on it.
    pub fn is_behind(&self, conn: ConnId, now: Nanos, time: Nanos) -> bool {
        let late = |end: &End| end.incoming.front().is_some_and(|packet| packet.sent + time <= now);
        self.end(conn).is_some_and(|end| end.lost || late(end))
    }

    /// When what comes next at this end was sent.
    pub fn next_sent(&self, conn: ConnId) -> Option<Nanos> {
        self.end(conn)?.incoming.front().map(|packet| packet.sent)
    }

    /// Sends bytes, and plans when the sender is told that they are taken. `answers`: whether the host at the other end
    /// is up, and so resets a connection that it knows no more.
    pub fn send(
        &mut self,
        queue: &mut Queue<Event>,
        now: Nanos,
        conn: ConnId,
        bytes: Vec<u8>,
        answers: bool,
    ) -> Sent {
        let Some(end) = self.end(conn).filter(|end| !end.finished) else { return Sent::Nowhere };
        let (host, peer, other) = (end.host, end.peer, end.other);
        let delay = self.delay(host, peer);
        let len = bytes.len();
        let on_its_way = self.deliver_bytes(queue, now, other, delay, bytes);
        if self.is_lost(conn) {
            self.give_up_later(queue, now, conn);
        }
        if !on_its_way && answers && !self.blocks(host, peer) {
            self.deliver(queue, now, conn, 2 * delay, 0, Content::End);
        }
        let window = self.config.window;
        let Some(end) = self.end_mut(conn) else { return Sent::Nowhere };
        end.unread += len;
        if end.unread > window {
            end.untaken = (end.unread - window).min(len);
            return if end.untaken < len { Sent::Part(len - end.untaken) } else { Sent::Waiting };
        }
        let Some(most) = self.config.flush else { return Sent::Taken };
        let at = now + self.dice.below(nanos(most).max(1));
        queue.push(at, Event::Flushed { conn });
        Sent::Waiting
    }

    /// Sends bytes that are no part of a frame: nobody is told when they are taken.
    pub fn send_quietly(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId, bytes: Vec<u8>) {
        let Some(end) = self.end_mut(conn).filter(|end| !end.finished && !bytes.is_empty()) else { return };
        let (host, peer, other) = (end.host, end.peer, end.other);
        end.unread += bytes.len();
        let delay = self.delay(host, peer);
        self.deliver_bytes(queue, now, other, delay, bytes);
        if self.is_lost(conn) {
            self.give_up_later(queue, now, conn);
        }
    }

    /// Puts bytes on their way to an end, on a slow wire in packets that arrive one after the other; false where there is no
    /// end.
    fn deliver_bytes(
        &mut self,
        queue: &mut Queue<Event>,
        now: Nanos,
        to: ConnId,
        delay: Nanos,
        bytes: Vec<u8>,
    ) -> bool {
        if self.end(to).is_none_or(|end| end.bandwidth.is_none()) {
            let len = bytes.len();
            return self.deliver(queue, now, to, delay, len, Content::Bytes { bytes, from: 0 });
        }
        bytes.chunks(SEGMENT).all(|part| {
            let content = Content::Bytes { bytes: part.to_vec(), from: 0 };
            self.deliver(queue, now, to, delay, part.len(), content)
        })
    }

    /// Puts a packet on its way to an end; false where there is none.
    fn deliver(
        &mut self,
        queue: &mut Queue<Event>,
        now: Nanos,
        to: ConnId,
        delay: Nanos,
        len: usize,
        content: Content,
    ) -> bool {
        let delay = delay + self.resent(delay);
        let Some(end) = self.end_mut(to) else { return false };
        if end.lost {
            return true;
        }
        let mut leaves = now;
        if let Some(bandwidth) = end.bandwidth {
            let time = (len as u64).saturating_mul(1_000_000_000) / bandwidth.max(1);
            end.busy_until = end.busy_until.max(now) + time;
            leaves = end.busy_until;
        }
        let at = (leaves + delay).max(end.arrives);
        end.arrives = at;
        end.incoming.push_back(Packet { sent: now, at, content });
        queue.push(at, Event::Arrive { conn: to });
        true
    }

    /// How long a packet takes longer because it is lost on its way and sent again, a few times at most.
    fn resent(&mut self, delay: Nanos) -> Nanos {
        const TRIES: u32 = 3;
        if self.config.loss <= 0.0 {
            return 0;
        }
        let lost = (0..TRIES).take_while(|_| self.dice.chance(self.config.loss)).count();
        let timeout = (4 * delay).max(nanos(Duration::from_secs(1)));
        timeout * ((1 << lost) - 1)
    }

    /// What has arrived at an end and is to be read, one piece at a time.
    pub fn take(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId) -> Option<Arrival> {
        let end = self.end(conn)?;
        let (host, peer, other) = (end.host, end.peer, end.other);
        if end.paused || end.incoming.front().is_none_or(|packet| packet.at > now) || self.blocks(peer, host)
        {
            return None;
        }
        let split = self.config.split > 0.0 && self.dice.chance(self.config.split);
        let cut = self.dice.roll();
        let end = self.end_mut(conn)?;
        let packet = end.incoming.pop_front()?;
        let (bytes, from) = match packet.content {
            Content::End => return Some(Arrival::End),
            Content::Bytes { bytes, from } => (bytes, from),
        };
        let rest = bytes.len() - from;
        if split && rest > 1 {
            let to = from + 1 + (cut % (rest as u64 - 1)) as usize;
            let part = bytes[from..to].to_vec();
            let at = now + 1 + cut % 1_000_000;
            let content = Content::Bytes { bytes, from: to };
            end.incoming.push_front(Packet { sent: packet.sent, at, content });
            queue.push(at, Event::Arrive { conn });
            self.splits += 1;
            self.read(queue, now, other, part.len());
            let range = 0..part.len();
            return Some(Arrival::Bytes(part, range));
        }
        self.read(queue, now, other, rest);
        let range = from..bytes.len();
        Some(Arrival::Bytes(bytes, range))
    }

    /// The other side has read so much of what was sent from this end.
    fn read(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId, len: usize) {
        let window = self.config.window;
        let Some(end) = self.end_mut(conn) else { return };
        end.unread -= len;
        let untaken = end.unread.saturating_sub(window).min(end.untaken);
        let taken = end.untaken - untaken;
        if taken == 0 {
            return;
        }
        end.untaken = untaken;
        let (host, peer, told_at) = (end.host, end.peer, end.told_at);
        let at = (now + self.delay(peer, host)).max(told_at);
        if let Some(end) = self.end_mut(conn) {
            end.told_at = at;
        }
        let event =
            if untaken == 0 { Event::Flushed { conn } } else { Event::Written { conn, bytes: taken } };
        queue.push(at, event);
    }

    /// This end reads no further, or again.
    pub fn pause(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId, paused: bool) {
        let Some(end) = self.end_mut(conn) else { return };
        end.paused = paused;
        if !paused && !end.incoming.is_empty() {
            queue.push(now, Event::Arrive { conn });
        }
    }

    /// This side ends its output, behind what it sent, and reads on until the other does.
    pub fn finish(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId) {
        let Some(end) = self.end_mut(conn) else { return };
        let (host, peer, other) = (end.host, end.peer, end.other);
        end.finished = true;
        end.paused = false;
        queue.push(now, Event::Arrive { conn });
        let delay = self.delay(host, peer);
        if !self.deliver(queue, now, other, delay, 0, Content::End) {
            self.deliver(queue, now, conn, delay, 0, Content::End);
        }
    }

    /// This side is done with the connection. With `word`, the other side learns of it.
    pub fn forget(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId, word: bool) {
        let Some(end) = self.ends.get_mut(slot(conn)) else { return };
        let Some(End { host, peer, other, .. }) = end.take_if(|end| end.conn == conn) else { return };
        self.free.push(slot(conn));
        if word {
            let delay = self.delay(host, peer);
            self.deliver(queue, now, other, delay, 0, Content::End);
        }
    }

    /// From now on nothing arrives at this end: its peer has vanished, or a router has forgotten the connection.
    pub fn lose(&mut self, conn: ConnId) {
        if let Some(end) = self.end_mut(conn) {
            end.lost = true;
        }
    }

    /// Whether nothing arrives any more at one of the two ends, so that what is sent from either is not acknowledged.
    pub fn is_lost(&self, conn: ConnId) -> bool {
        let lost = |conn| self.end(conn).is_none_or(|end| end.lost);
        self.end(conn).is_some_and(|end| end.lost || lost(end.other))
    }

    fn give_up_later(&mut self, queue: &mut Queue<Event>, now: Nanos, conn: ConnId) {
        let Some(time) = self.config.unacknowledged else { return };
        if let Some(end) = self.end_mut(conn).filter(|end| !end.doubted) {
            end.doubted = true;
            queue.push(now + nanos(time), Event::GiveUp { conn });
        }
    }

    /// The other end of a connection, while it is there.
    pub fn other(&self, conn: ConnId) -> Option<ConnId> {
        let other = self.end(conn)?.other;
        self.end(other).map(|end| end.conn)
    }

    /// From now on so many bytes a second reach this end.
    pub fn throttle(&mut self, conn: ConnId, bandwidth: Option<u64>) {
        if let Some(end) = self.end_mut(conn) {
            end.bandwidth = bandwidth;
        }
    }

    /// All is as good as it can be again: what waited arrives.
    pub fn heal(&mut self, queue: &mut Queue<Event>, now: Nanos) {
        self.partitions.clear();
        self.wake(queue, now);
    }

    /// Plans the arrival of what waits, after a line is gone across which nothing got through.
    pub fn wake(&self, queue: &mut Queue<Event>, now: Nanos) {
        for end in self.ends.iter().flatten() {
            if let Some(packet) = end.incoming.front() {
                queue.push(packet.at.max(now), Event::Arrive { conn: end.conn });
            }
        }
    }
}

/// What became of bytes that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The operating system has them.
    Taken,
    /// It has so many bytes, and not the rest.
    Part(usize),
    /// [`Event::Flushed`] says when it has.
    Waiting,
    /// The connection is not there.
    Nowhere,
}

fn slot(conn: ConnId) -> usize {
    (conn.0 & ((1 << SLOT_BITS) - 1)) as usize
}
