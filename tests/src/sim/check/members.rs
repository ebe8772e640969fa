//! Who is listed as a member, and who should be.

use proto_core::{MemberState, Node};

use super::{Breach, Checker, Rule};
use crate::sim::{HostId, World};

impl Checker {
    /// Whether all nodes whose clock is right list each other as here, and nobody of the honest who is not.
    pub fn members(&self, world: &World) -> Result<(), Breach> {
        let live = world.live();
        let right: Vec<_> = live.iter().copied().filter(|host| world.host(*host).clock.is_right()).collect();
        let mut nodes = right.iter().filter_map(|host| Some((*host, world.host(*host).node()?)));
        let wrong = nodes.find_map(|(host, node)| {
            self.unlisted(world, node, &right)
                .or_else(|| self.wrongly_listed(world, node))
                .map(|what| (host, what))
        });
        wrong.map_or(Ok(()), |(host, what)| {
            Err(Breach { at: world.now(), rule: Rule::Members, what: format!("host {host} {what}") })
        })
    }

    /// Who is here, and not listed as that.
    fn unlisted(&self, world: &World, node: &Node, right: &[HostId]) -> Option<String> {
        right.iter().find_map(|other| {
            let host = world.host(*other);
            let key = host.node()?.key();
            if key == node.key() {
                return None;
            }
            match node.members().find(|member| member.key == key) {
                None => Some(format!("does not list host {other}")),
                Some(member) if member.uname != host.uname => {
                    Some(format!("lists host {other} as {:?}", member.uname.as_str()))
                }
                Some(member) if member.state != MemberState::Here => {
                    Some(format!("lists host {other}, which is here, as {:?}", member.state))
                }
                Some(_) => None,
            }
        })
    }

    /// An honest node that is listed as here, and does not run any more under that key.
    fn wrongly_listed(&self, world: &World, node: &Node) -> Option<String> {
        let here = node.members().filter(|member| member.state == MemberState::Here);
        here.filter_map(|member| self.keys.get(&member.key).map(|host| (*host, member.key))).find_map(
            |(host, key)| {
                let runs = world.host(host).node().is_some_and(|node| node.key() == key);
                (!runs).then(|| format!("lists a node of host {host} as here, which is gone"))
            },
        )
    }
}
