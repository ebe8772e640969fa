//! Nodes list who is in the network, linked or not.

use std::time::Duration;

use proto_core::{MemberState, Node};

use super::Run;
use super::population::Odd;
use crate::sim::nanos;

/// What is dated so far ahead counts for so long: `chat.live_age`, and as much again for all else.
const GRACE: Duration = Duration::from_secs(240);

/// Where attackers made the intervals so long, it is not waited for them.
const LONGEST: Duration = Duration::from_secs(1_200);

impl Run {
    /// Whether each node lists all others as here, and nobody who is gone, within three intervals. Who does not relay what
    /// it should may keep somebody unheard: while such a one is there, that is not looked at.
    pub(super) fn all_are_listed(&mut self) -> bool {
        const STEP: Duration = Duration::from_secs(10);
        let live = self.world.live();
        let says_so = live.iter().any(|host| self.world.host(*host).presence);
        let mut hostile = self.odd.iter().filter(|(_, odd)| **odd != Odd::Version1);
        let attacked = hostile.any(|(host, _)| self.world.host(*host).is_up());
        let nodes = live.iter().filter_map(|host| self.world.host(*host).node());
        let longest = Duration::from_secs(nodes.map(interval).max().unwrap_or(0)) * 3;
        if !says_so || attacked || longest > LONGEST {
            return true;
        }
        let end = self.world.now() + nanos(longest + GRACE);
        loop {
            let Some(check) = &self.world.probes.check else { return true };
            match check.members(&self.world) {
                Ok(()) => break,
                Err(breach) if self.world.now() >= end => {
                    self.breach = Some(breach);
                    return false;
                }
                Err(_) => {}
            }
            if !self.world.run_for(STEP) {
                return false;
            }
        }
        self.listed += 1;
        true
    }
}

/// How often it says that it is here, in seconds (SPEC 9.19.1).
fn interval(node: &Node) -> u64 {
    let here = node.members().filter(|member| member.state == MemberState::Here).count() as u64;
    (here + 1).max(30)
}
