//! Connections whose bytes pass through real seals. Of these, the network shows lengths and order alone, which are the same
//! in each run. All that watches stands inside the seals.

use std::collections::BTreeMap;

use proto_core::seal::{MAX_PIECE, SealError, Sealer, Session, opens_handshake};
use proto_core::{ConnId, DialError, DialId, Expected, Identity, Input, PublicKey};

use super::World;
use crate::sim::net::Sent;
use crate::sim::{HostId, Nanos};

/// The seals of a world.
#[derive(Default)]
pub(super) struct Seals {
    sealers: BTreeMap<HostId, (PublicKey, Sealer)>,
    ends: BTreeMap<ConnId, End>,
    /// Dials whose handshake is complete.
    pub(super) dialed: u64,
}

/// One end of a connection of a node.
enum End {
    /// It was accepted. The first byte tells.
    Undecided,
    /// It begins with a handshake. These bytes came before the node wanted to go on.
    Waiting(Vec<u8>),
    /// It is sealed, or is going to be.
    Sealed(Box<Sealed>),
}

struct Sealed {
    session: Session,
    /// The dial that is not answered yet.
    dial: Option<DialId>,
    /// The records of the frame that is on its way: the bytes on the wire up to the end of each, and its content.
    records: Vec<(usize, usize)>,
    /// The bytes of them that were taken.
    taken: usize,
}

/// What came out of bytes on the wire.
struct Opened {
    plain: Vec<u8>,
    answer: Vec<u8>,
    /// The key that was proven just now, and the dial that this answers.
    proven: Option<(PublicKey, Option<DialId>)>,
    end: Option<Result<(), SealError>>,
}

impl Seals {
    fn sealer(&mut self, host: HostId, identity: &Identity) -> &Sealer {
        let entry = self.sealers.entry(host).or_insert_with(|| (identity.key(), Sealer::new(identity)));
        if entry.0 != identity.key() {
            *entry = (identity.key(), Sealer::new(identity));
        }
        &entry.1
    }

    /// A node accepted this.
    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.ends.insert(conn, End::Undecided);
    }

    /// The connection is over. The dial that it did not answer.
    pub(super) fn forget(&mut self, conn: ConnId) -> Option<DialId> {
        match self.ends.remove(&conn) {
            Some(End::Sealed(sealed)) => sealed.dial,
            _ => None,
        }
    }

    /// Whether this is the connection of a dial that is not answered yet.
    pub(super) fn is_of(&self, conn: ConnId, dial: DialId) -> bool {
        matches!(self.ends.get(&conn), Some(End::Sealed(sealed)) if sealed.dial == Some(dial))
    }

    fn sealed(&mut self, conn: ConnId) -> Option<&mut Sealed> {
        match self.ends.get_mut(&conn) {
            Some(End::Sealed(sealed)) => Some(sealed),
            _ => None,
        }
    }

    /// So many bytes on the wire were taken. The plain bytes in the records that are out with them.
    pub(super) fn taken(&mut self, conn: ConnId, bytes: usize) -> usize {
        let Some(sealed) = self.sealed(conn) else { return bytes };
        sealed.taken += bytes;
        let out = sealed.records.iter().take_while(|(end, _)| *end <= sealed.taken).count();
        sealed.records.drain(..out).map(|(_, content)| content).sum()
    }

    /// What goes over the wire for this frame.
    pub(super) fn seal(&mut self, conn: ConnId, frame: Vec<u8>) -> Vec<u8> {
        let Some(sealed) = self.sealed(conn) else { return frame };
        let mut wire = Vec::with_capacity(frame.len() + 64);
        (sealed.records, sealed.taken) = (Vec::new(), 0);
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let count = sealed.session.seal(&rest[..rest.len().min(MAX_PIECE)]);
            if count == 0 {
                break;
            }
            rest = &rest[count..];
            sealed.write_to(&mut wire);
            sealed.records.push((wire.len(), count));
        }
        wire
    }

    /// What goes over the wire to announce the end.
    pub(super) fn close(&mut self, conn: ConnId) -> Vec<u8> {
        let mut wire = Vec::new();
        if let Some(sealed) = self.sealed(conn) {
            sealed.session.close();
            sealed.write_to(&mut wire);
        }
        wire
    }
}

impl Sealed {
    fn new(session: Session, dial: Option<DialId>) -> Self {
        Self { session, dial, records: Vec::new(), taken: 0 }
    }

    fn write_to(&mut self, wire: &mut Vec<u8>) {
        while self.session.has_output() {
            self.session.write_to(wire).expect("a vector takes all");
        }
    }

    fn open(&mut self, wire: &[u8]) -> Opened {
        let (known, mut plain, mut answer) = (self.session.peer(), Vec::new(), Vec::new());
        let result = self.session.receive(wire, &mut plain);
        self.write_to(&mut answer);
        let key = self.session.peer().filter(|_| known.is_none());
        let end = (result.is_err() || self.session.is_over()).then_some(result);
        Opened { plain, answer, proven: key.map(|key| (key, self.dial.take())), end }
    }
}

impl World {
    /// From now on the nodes that are started seal their connections with each other.
    pub fn seal(&mut self) {
        self.seals = Some(Seals::default());
    }

    /// Whether nodes seal their connections with each other.
    pub fn is_sealed(&self) -> bool {
        self.seals.is_some()
    }

    /// How many dials were sealed.
    pub fn sealed_dials(&self) -> u64 {
        self.seals.as_ref().map_or(0, |seals| seals.dialed)
    }

    /// A dial that is to be sealed has reached a node. Its handshake begins.
    pub(super) fn shake_hands(
        &mut self,
        index: HostId,
        conn: ConnId,
        dial: DialId,
        expected: Option<Expected>,
    ) {
        let identity = self.hosts[index as usize].identity();
        let Some(seals) = &mut self.seals else { return };
        let session = seals.sealer(index, &identity).dial(expected).expect("randomness");
        let mut sealed = Sealed::new(session, Some(dial));
        let mut hello = Vec::new();
        sealed.write_to(&mut hello);
        seals.ends.insert(conn, End::Sealed(Box::new(sealed)));
        self.net.send_quietly(&mut self.queue, self.now, conn, hello);
    }

    /// A node wants to go on with a handshake. False: that is not possible.
    pub(super) fn accept_seal(&mut self, index: HostId, conn: ConnId) -> bool {
        let identity = self.hosts[index as usize].identity();
        let Some(seals) = &mut self.seals else { return false };
        let Some(End::Waiting(held)) = seals.ends.remove(&conn) else { return false };
        let session = seals.sealer(index, &identity).accept().expect("randomness");
        let mut sealed = Sealed::new(session, None);
        let Opened { answer, end, .. } = sealed.open(&held);
        seals.ends.insert(conn, End::Sealed(Box::new(sealed)));
        self.net.send_quietly(&mut self.queue, self.now, conn, answer);
        end.is_none()
    }

    /// Bytes have arrived for a node, sent by whom and when. False: they are in clear.
    pub(super) fn unseal(
        &mut self,
        index: HostId,
        conn: ConnId,
        wire: &[u8],
        sent: Option<(HostId, Nanos)>,
    ) -> bool {
        let Some(seals) = &mut self.seals else { return false };
        match seals.ends.get_mut(&conn) {
            None => return false,
            Some(End::Undecided) if opens_handshake(wire[0]) => {
                seals.ends.insert(conn, End::Waiting(wire.to_vec()));
                self.input(index, Input::sealing(conn));
            }
            Some(End::Undecided) => {
                seals.ends.remove(&conn);
                return false;
            }
            Some(End::Waiting(held)) => held.extend_from_slice(wire),
            Some(End::Sealed(sealed)) => {
                let opened = sealed.open(wire);
                self.take_opened(index, conn, opened, sent);
            }
        }
        true
    }

    fn take_opened(
        &mut self,
        index: HostId,
        conn: ConnId,
        Opened { plain, answer, proven, end }: Opened,
        sent: Option<(HostId, Nanos)>,
    ) {
        if !answer.is_empty() {
            self.net.send_quietly(&mut self.queue, self.now, conn, answer);
        }
        match proven {
            Some((key, Some(dial))) => {
                self.seals.iter_mut().for_each(|seals| seals.dialed += 1);
                self.input(index, Input::connected(dial, conn).sealed_by(key));
            }
            Some((key, None)) => self.input(index, Input::sealed(conn, key)),
            None => {}
        }
        // The node may have dropped it by now.
        if !plain.is_empty() && self.net.host(conn) == Some(index) {
            self.read_plain(index, conn, &plain, 0..plain.len(), sent);
        }
        if let Some(result) = end
            && self.net.host(conn) == Some(index)
        {
            self.seal_ended(index, conn, result);
        }
    }

    fn seal_ended(&mut self, index: HostId, conn: ConnId, result: Result<(), SealError>) {
        let reason = match result {
            Err(SealError::WrongKey { shown }) => DialError::WrongKey { found: shown.node_id() },
            _ => DialError::NotSealed,
        };
        match self.seals.as_mut().and_then(|seals| seals.forget(conn)) {
            Some(dial) => {
                self.forget(index, conn, true);
                self.input(index, Input::dial_failed(dial, reason));
            }
            None => self.closed(conn, true),
        }
    }

    /// What became of the frame whose bytes on the wire were sent.
    pub(super) fn sent_plain(&mut self, conn: ConnId, sent: Sent) -> Sent {
        let Some(seals) = &mut self.seals else { return sent };
        match sent {
            Sent::Part(bytes) => match seals.taken(conn, bytes) {
                0 => Sent::Waiting,
                plain => Sent::Part(plain),
            },
            other => other,
        }
    }
}
