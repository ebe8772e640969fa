//! The connections, and the indexes over them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::link::{Link, Phase, Timer};
use crate::model::{ConnId, Instant, Limits};
use crate::wire::Token;

/// All connections. [`get_mut`](Self::get_mut) notes that a link may have changed. [`refresh`](Self::refresh) brings
/// the indexes up to date, and has to be called before they are read.
#[derive(Debug, Default)]
pub(super) struct Table {
    links: BTreeMap<ConnId, Link>,
    /// The connection on which each nonce was sent: an index of `links`.
    nonces: BTreeMap<Token, ConnId>,
    /// The deadline of each link: an index of `links`.
    deadlines: BTreeSet<(Instant, ConnId)>,
    /// Bytes in the buffers of all links: an index of `links`.
    buffered: usize,
    /// Links that may have a chunk, or their close, for the driver.
    sendable: BTreeSet<ConnId>,
    /// Links that may have changed since the last refresh.
    changed: Vec<ConnId>,
}

/// What the indexes contain about a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    deadline: Option<Instant>,
    buffered: usize,
}

impl Table {
    /// Adds a link. There must be none with this number.
    pub(super) fn insert(&mut self, conn: ConnId, link: Link) {
        self.nonces.insert(link.nonce, conn);
        self.links.insert(conn, link);
        self.changed.push(conn);
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Link> {
        let link = self.links.remove(&conn)?;
        self.nonces.remove(&link.nonce);
        self.sendable.remove(&conn);
        self.reindex(conn, link.indexed, Indexed::default());
        Some(link)
    }

    pub(super) fn contains(&self, conn: ConnId) -> bool {
        self.links.contains_key(&conn)
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Link> {
        self.links.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Link> {
        let link = self.links.get_mut(&conn)?;
        if self.changed.last() != Some(&conn) {
            self.changed.push(conn);
        }
        Some(link)
    }

    /// In the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Link)> + Clone {
        self.links.iter().map(|(conn, link)| (*conn, link))
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// The connection on which this node sent this nonce.
    pub(super) fn of_nonce(&self, nonce: &Token) -> Option<ConnId> {
        self.nonces.get(nonce).copied()
    }

    /// Brings the indexes up to date.
    pub(super) fn refresh(&mut self, limits: &Limits) {
        while let Some(conn) = self.changed.pop() {
            let Some(link) = self.links.get_mut(&conn) else { continue };
            let after =
                Indexed { deadline: link.deadline(limits).map(|(at, _)| at), buffered: link.buffered() };
            let before = core::mem::replace(&mut link.indexed, after);
            if link.queue.is_ready() || matches!(link.phase, Phase::Closing { close_sent: false, .. }) {
                self.sendable.insert(conn);
            }
            self.reindex(conn, before, after);
        }
    }

    fn reindex(&mut self, conn: ConnId, before: Indexed, after: Indexed) {
        if before.deadline != after.deadline {
            if let Some(at) = before.deadline {
                self.deadlines.remove(&(at, conn));
            }
            if let Some(at) = after.deadline {
                self.deadlines.insert((at, conn));
            }
        }
        self.buffered = self.buffered + after.buffered - before.buffered;
    }

    /// Bytes in the buffers of all links, as of the last refresh.
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// The earliest deadline, its link and its timer, as of the last refresh.
    pub(super) fn first_deadline(&self, limits: &Limits) -> Option<(Instant, ConnId, Timer)> {
        let (_, conn) = self.deadlines.first()?;
        let (at, timer) = self.links.get(conn)?.deadline(limits)?;
        Some((at, *conn, timer))
    }

    /// The next link that may have a chunk or its close for the driver, as of the last refresh.
    pub(super) fn pop_sendable(&mut self) -> Option<ConnId> {
        self.sendable.pop_first()
    }

    /// Compares the indexes with what they are indexes of.
    pub(super) fn is_consistent(&self, limits: &Limits) -> bool {
        let deadlines = self.iter().filter_map(|(conn, link)| Some((link.deadline(limits)?.0, conn)));
        self.changed.is_empty()
            && deadlines.collect::<BTreeSet<_>>() == self.deadlines
            && self.links().map(Link::buffered).sum::<usize>() == self.buffered
            && self.iter().map(|(conn, link)| (link.nonce, conn)).collect::<BTreeMap<_, _>>() == self.nonces
    }
}
