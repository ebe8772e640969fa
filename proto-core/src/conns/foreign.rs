//! Peers that belong to another network (SPEC 3.13).

use core::net::IpAddr;

use super::closing::Ending;
use super::{Conns, Event};
use crate::model::{ConnId, Cx, Fifo, Instant, LeaveReason, Limits};
use crate::wire::ByeCode;

/// The most addresses that are remembered.
const MOST: usize = 64;

/// The addresses from which nodes of another network dialed this one, so that the user is told of each once in
/// `mesh.foreign_pause`.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// When the user was told of the address.
    told: Fifo<IpAddr, Instant>,
}

impl Foreign {
    /// A node of another network dialed from this address. Whether the user is to be told. With [`MOST`] addresses in
    /// one `mesh.foreign_pause`, the user is told of no further one.
    fn is_news(&mut self, now: Instant, ip: IpAddr, limits: &Limits) -> bool {
        let is_over = |at: &Instant| now.since(*at) >= limits.mesh.foreign_pause;
        while self.told.first().is_some_and(|(_, at)| is_over(at)) {
            self.told.pop_first();
        }
        let news = !self.told.contains(&ip) && self.told.len() < MOST;
        if news {
            self.told.insert(ip, now);
        }
        news
    }
}

impl Conns {
    /// Refuses a newcomer that belongs to another network. The user hears of one that dialed in here. Of one that this
    /// node dialed, the mesh reports that the dial failed.
    pub(super) fn refuse_foreign(&mut self, cx: &mut Cx, conn: ConnId) {
        self.counts.foreign += 1;
        let dialed_in = self.table.get(conn).filter(|link| link.dialed.is_none());
        if let Some(remote) = dialed_in.map(|link| link.remote)
            && self.foreign.is_news(cx.now, remote.ip(), cx.limits())
        {
            self.events.push_back(Event::OtherNetwork(remote));
        }
        self.end(cx, conn, Ending::Bye(ByeCode::Network), LeaveReason::Violation);
    }
}
