//! The digest of a run: one SHA-256 over all that its nodes do, in order, each with its host and its virtual time.
//!
//! The encoding is written out here, value by value. It uses neither `Debug` nor `serde`, so renaming a type, a variant or
//! a field of the core changes no digest. Every variant has a code of its own, which stays when the variant is renamed.
//! Integers are big-endian with a fixed width. Texts and byte strings follow their length, lists their count.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use proto_core::wire::{ByeCode, FrameError};
use proto_core::{
    Action, CommandError, ConnId, DialError, DialId, Entry, EntryError, Expected, LeaveReason, Marks, Member,
    MemberChange, Message, NodeId, Notice, Outcome, PeerAddr, PeerInfo, Seal, Version, Violation, Wanted,
};
use sha2::Sha256;

use super::{HostId, Nanos};

/// The SHA-256 of all that nodes have done so far.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hasher: Sha256,
    /// The record that is being written.
    record: Record,
    /// The dials of the node that runs on each host, by the order in which they are first named. The core numbers them as it
    /// likes.
    dials: BTreeMap<HostId, BTreeMap<DialId, u64>>,
}

impl Digest {
    /// The digest so far, in hexadecimal.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in sha2::Digest::finalize(self.hasher.clone()) {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// A node starts on a host.
    pub(super) fn started(&mut self, now: Nanos, host: HostId) {
        self.dials.remove(&host);
        self.begin(now, host);
        self.record.text("start");
        self.end();
    }

    /// A node answers a command.
    pub(super) fn answered(&mut self, now: Nanos, host: HostId, answer: &Result<Outcome, CommandError>) {
        self.begin(now, host);
        self.record.answer(answer);
        self.end();
    }

    /// A node does something.
    pub(super) fn action(&mut self, now: Nanos, host: HostId, action: &Action) {
        self.begin(now, host);
        let dials = self.dials.entry(host).or_default();
        self.record.action(action, |dial| {
            let next = dials.len() as u64;
            *dials.entry(dial).or_insert(next)
        });
        self.end();
    }

    fn begin(&mut self, now: Nanos, host: HostId) {
        self.record.0.clear();
        self.record.number(now);
        self.record.number(u64::from(host));
    }

    fn end(&mut self) {
        sha2::Digest::update(&mut self.hasher, &self.record.0);
    }
}

/// The bytes of one record.
#[derive(Clone, Debug, Default)]
struct Record(Vec<u8>);

impl Record {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn conn(&mut self, conn: ConnId) {
        self.number(conn.0);
    }

    fn node_id(&mut self, node_id: NodeId) {
        self.bytes(node_id.as_bytes());
    }

    fn addr(&mut self, addr: SocketAddr) {
        match addr.ip() {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
        self.number(u64::from(addr.port()));
        if let SocketAddr::V6(addr) = addr {
            self.number(u64::from(addr.flowinfo()));
            self.number(u64::from(addr.scope_id()));
        }
    }

    fn target(&mut self, target: &PeerAddr) {
        match target {
            PeerAddr::Ip(addr) => {
                self.text("ip");
                self.addr(*addr);
            }
            PeerAddr::Host { host, port } => {
                self.text("name");
                self.text(host);
                self.number(u64::from(*port));
            }
        }
    }

    fn answer(&mut self, answer: &Result<Outcome, CommandError>) {
        match answer {
            Ok(Outcome::Done) => self.text("done"),
            Ok(Outcome::Said(entries)) => {
                self.text("said");
                self.number(entries.len() as u64);
                entries.iter().for_each(|entry| self.bytes(entry.id().as_bytes()));
            }
            Ok(Outcome::Saying(id)) => {
                self.text("saying");
                self.number(id.0);
            }
            Ok(other) => panic!("unknown outcome: {other:?}"),
            Err(error) => {
                self.text("refused");
                self.text(match error {
                    CommandError::Busy => "busy",
                    CommandError::TooMuch => "too-much",
                    CommandError::TooManyTargets => "too-many-targets",
                    CommandError::CannotSeal => "cannot-seal",
                    CommandError::NoSuchTarget => "no-such-target",
                    CommandError::ShuttingDown => "shutting-down",
                    other => panic!("unknown command error: {other:?}"),
                });
            }
        }
    }

    fn action(&mut self, action: &Action, mut number_of: impl FnMut(DialId) -> u64) {
        match action {
            Action::Resolve { dial, host, port } => {
                self.text("resolve");
                self.number(number_of(*dial));
                self.text(host);
                self.number(u64::from(*port));
            }
            Action::Dial { dial, addr, seal } => {
                self.text("dial");
                self.number(number_of(*dial));
                self.addr(*addr);
                self.seal(seal);
            }
            Action::AcceptSeal { conn } => self.about("accept-seal", *conn),
            Action::CancelDial { dial } => {
                self.text("cancel");
                self.number(number_of(*dial));
            }
            Action::SendFrame { conn, bytes } => {
                self.text("send");
                self.conn(*conn);
                self.bytes(bytes);
            }
            Action::PauseReading { conn } => self.about("pause", *conn),
            Action::ResumeReading { conn } => self.about("resume", *conn),
            Action::Close { conn } => self.about("close", *conn),
            Action::Abort { conn } => self.about("abort", *conn),
            Action::RegisterPeer(peer) => {
                self.text("register");
                self.peer(peer);
            }
            Action::UpdatePeer(peer) => {
                self.text("update");
                self.peer(peer);
            }
            Action::UnregisterPeer { peer, reason } => {
                self.text("unregister");
                self.peer(peer);
                self.text(leave_code(*reason));
            }
            Action::Deliver(message) => {
                self.text("deliver");
                self.message(message);
            }
            Action::Store { id, record } => {
                self.text("store");
                self.number(id.0);
                self.kept(record);
            }
            Action::Load { id, wanted, most_bytes } => {
                self.text("load");
                self.number(id.0);
                self.wanted(wanted);
                self.number(*most_bytes as u64);
            }
            Action::Said { id, entries, stored } => {
                self.text("said");
                self.number(id.0);
                self.number(entries.len() as u64);
                entries.iter().for_each(|entry| self.bytes(entry.id().as_bytes()));
                self.flag(*stored);
            }
            Action::Ready => self.text("ready"),
            Action::Confirmed => self.text("confirmed"),
            Action::Report { conn, remote, violation } => {
                self.about("report", *conn);
                self.addr(*remote);
                let (what, detail) = violation_codes(*violation);
                self.text(what);
                self.text(detail);
            }
            Action::Notice(notice) => {
                self.text("notice");
                self.notice(notice);
            }
            Action::Member { member, change } => {
                self.text("member");
                self.member(member, *change);
            }
            other => panic!("unknown action: {other:?}"),
        }
    }

    /// Its state follows from what is new about it.
    fn member(&mut self, member: &Member, change: MemberChange) {
        let Member { key, uname, since, heard, .. } = member;
        self.text(match change {
            MemberChange::Listed => "listed",
            MemberChange::Joined => "joined",
            MemberChange::Renamed => "renamed",
            MemberChange::Back => "back",
            MemberChange::Silent => "silent",
            MemberChange::Left => "left",
            other => panic!("unknown change: {other:?}"),
        });
        self.bytes(key.as_bytes());
        self.text(uname.as_str());
        self.number(*since);
        self.number(*heard);
    }

    fn kept(&mut self, record: &proto_core::Record) {
        use proto_core::Record as Kept;
        let (code, id) = match record {
            Kept::Entry(entry) => ("entry", entry.id()),
            Kept::Own(entry) => ("own", entry.id()),
            Kept::Withdrawn(id, _) => ("withdrawn", *id),
            other => panic!("unknown record: {other:?}"),
        };
        self.text(code);
        self.bytes(id.as_bytes());
    }

    fn wanted(&mut self, wanted: &Wanted) {
        match wanted {
            Wanted::Range { run, first, last } => {
                self.text("range");
                self.bytes(run.key.as_bytes());
                self.number(run.epoch);
                self.number(*first);
                self.number(*last);
            }
            Wanted::Ids(ids) => {
                self.text("ids");
                self.number(ids.len() as u64);
                ids.iter().for_each(|id| self.bytes(id.as_bytes()));
            }
            other => panic!("unknown: {other:?}"),
        }
    }

    /// What is in clear adds nothing.
    fn seal(&mut self, seal: &Seal) {
        match seal {
            Seal::Clear => {}
            Seal::Sealed { expected } => {
                self.text("sealed");
                match expected {
                    None => self.text("anybody"),
                    Some(Expected::Key(key)) => self.bytes(key.as_bytes()),
                    Some(Expected::Id(node_id)) => self.node_id(*node_id),
                }
            }
            other => panic!("unknown seal: {other:?}"),
        }
    }

    fn about(&mut self, code: &str, conn: ConnId) {
        self.text(code);
        self.conn(conn);
    }

    fn peer(&mut self, peer: &PeerInfo) {
        let PeerInfo { node_id, uname, listen_addr, remote_addr, version, key, sealed, .. } = peer;
        self.node_id(*node_id);
        self.text(uname.as_str());
        self.flag(listen_addr.is_some());
        listen_addr.iter().for_each(|addr| self.addr(*addr));
        self.addr(*remote_addr);
        self.number(match version {
            Version::V1 => 1,
            Version::V2 => 2,
            other => panic!("unknown version: {other:?}"),
        });
        self.flag(key.is_some());
        key.iter().for_each(|key| self.bytes(key.as_bytes()));
        if *sealed {
            self.text("sealed");
        }
    }

    fn message(&mut self, message: &Message) {
        match message {
            Message::Line { peer, text } => {
                self.text("line");
                self.peer(peer);
                self.text(text);
            }
            Message::Entry { entry, marks } => {
                self.text("entry");
                self.entry(entry);
                let Marks { late, forked, backdated, behind, history, catch_up, name_taken, .. } = *marks;
                [late, forked, backdated, behind, history, catch_up, name_taken]
                    .into_iter()
                    .for_each(|mark| self.flag(mark));
                let repeated = (0..entry.texts().len()).filter(|text| marks.repeated.contains(*text));
                repeated.for_each(|text| self.number(text as u64));
            }
            other => panic!("unknown message: {other:?}"),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        self.bytes(entry.id().as_bytes());
        self.text(&entry.sealed().signature.to_string());
        self.node_id(entry.author());
        self.bytes(entry.key().as_bytes());
        [entry.epoch(), entry.seq(), entry.at()].into_iter().for_each(|number| self.number(number));
        self.text(entry.uname().as_str());
        self.number(entry.texts().len() as u64);
        entry.texts().for_each(|text| self.text(text));
        self.number(entry.to().len() as u64);
        entry.to().iter().for_each(|node_id| self.node_id(*node_id));
        self.flag(entry.via().is_some());
        if let Some(via) = entry.via() {
            self.node_id(via.node_id);
            self.text(via.uname.as_str());
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Gap { node_id, uname, missing } => {
                self.text("gap");
                self.node_id(*node_id);
                self.text(uname.as_str());
                self.number(*missing);
            }
            Notice::NameTaken { node_id, uname, holder } => {
                self.text("name-taken");
                self.node_id(*node_id);
                self.text(uname.as_str());
                self.node_id(*holder);
            }
            Notice::CaughtUp { entries } => {
                self.text("caught-up");
                self.0.extend_from_slice(&(*entries as u64).to_be_bytes());
            }
            Notice::ClockOff { ahead_ms, clocks } => {
                self.text("clock-off");
                self.0.extend_from_slice(&ahead_ms.to_be_bytes());
                self.0.extend_from_slice(&(*clocks as u64).to_be_bytes());
            }
            Notice::Backfill { came, missing, over } => {
                self.text("backfill");
                self.number(*came);
                self.number(*missing);
                self.flag(*over);
            }
            Notice::Alone => self.text("alone"),
            Notice::KeyShared => self.text("key-shared"),
            Notice::Unreachable { target, reason } => {
                self.text("unreachable");
                self.target(target);
                self.text(dial_code(*reason));
            }
            Notice::WrongKey { target, expected, found, given } => {
                self.text("wrong-key");
                self.target(target);
                self.node_id(*expected);
                self.node_id(*found);
                self.flag(*given);
            }
            Notice::NotAChatNode { target } => {
                self.text("not-a-chat-node");
                self.target(target);
            }
            Notice::IsSelf { target } => {
                self.text("is-self");
                self.target(target);
            }
            Notice::OtherNetwork { remote } => {
                self.text("other-network");
                self.addr(*remote);
            }
            Notice::TurnedAway { target, code } => {
                self.text("turned-away");
                self.target(target);
                self.text(bye_code(*code));
            }
            other => panic!("unknown notice: {other:?}"),
        }
    }
}

fn leave_code(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Bye => "bye",
        LeaveReason::Stopping => "stopping",
        LeaveReason::Closed => "closed",
        LeaveReason::Silent => "silent",
        LeaveReason::Slow => "slow",
        LeaveReason::Violation => "violation",
        LeaveReason::NoRoom => "no-room",
        other => panic!("unknown leave reason: {other:?}"),
    }
}

fn dial_code(error: DialError) -> &'static str {
    match error {
        DialError::NotResolved => "not-resolved",
        DialError::Refused => "refused",
        DialError::Unreachable => "unreachable",
        DialError::TimedOut => "timed-out",
        DialError::NoResources => "no-resources",
        DialError::WrongKey { .. } => "wrong-key",
        DialError::NotSealed => "not-sealed",
        DialError::Other => "other",
        other => panic!("unknown dial error: {other:?}"),
    }
}

fn bye_code(code: ByeCode) -> &'static str {
    match code {
        ByeCode::Shutdown => "shutdown",
        ByeCode::Duplicate => "duplicate",
        ByeCode::Full => "full",
        ByeCode::SelfLink => "self",
        ByeCode::Refused => "refused",
        ByeCode::Violation => "violation",
        ByeCode::Network => "network",
        ByeCode::Taken => "taken",
        ByeCode::Other => "other",
        other => panic!("unknown BYE code: {other:?}"),
    }
}

/// The code of a violation and that of what is wrong in detail, which may be empty.
fn violation_codes(violation: Violation) -> (&'static str, &'static str) {
    match violation {
        Violation::Malformed(error) => ("malformed", frame_code(error)),
        Violation::TooManyMalformed => ("too-many-malformed", ""),
        Violation::LineTooLong => ("line-too-long", ""),
        Violation::BeforeJoin => ("before-join", ""),
        Violation::NoGreeting => ("no-greeting", ""),
        Violation::UnreadableGreeting(error) => ("unreadable-greeting", frame_code(error)),
        Violation::Banned => ("banned", ""),
        Violation::ClaimsOurId => ("claims-our-id", ""),
        Violation::ClaimsPeersId => ("claims-peers-id", ""),
        Violation::NotItsKeysId => ("not-its-keys-id", ""),
        Violation::FalseProof => ("false-proof", ""),
        Violation::BeforeProof => ("before-proof", ""),
        Violation::Entry(EntryError::Content) => ("entry", "content"),
        Violation::Entry(EntryError::Signature) => ("entry", "signature"),
        Violation::Entry(EntryError::Body) => ("entry", "body"),
        Violation::FalseTree => ("false-tree", ""),
        Violation::Sync => ("sync", ""),
        Violation::SyncsIgnored => ("sync-passed-over", ""),
        Violation::SecondId => ("second-id", ""),
        Violation::InClear => ("in-clear", ""),
        Violation::NotTheConnectionsKey => ("not-the-connections-key", ""),
        other => panic!("unknown violation: {other:?}"),
    }
}

fn frame_code(error: FrameError) -> &'static str {
    match error {
        FrameError::NotUtf8 => "not-utf8",
        FrameError::NoPayload => "no-payload",
        FrameError::Json => "json",
        FrameError::NodeId => "node-id",
        FrameError::Token => "token",
        FrameError::Key => "key",
        FrameError::Network => "network",
        FrameError::Base64 => "base64",
        FrameError::Range => "range",
        FrameError::TooMany => "too-many",
        FrameError::Tree => "tree",
        other => panic!("unknown frame error: {other:?}"),
    }
}

#[cfg(test)]
mod tests;
