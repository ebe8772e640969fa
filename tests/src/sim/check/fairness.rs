//! Whether honest authors keep their room: an author loses entries only where nobody like it holds more.

use std::collections::{BTreeMap, BTreeSet};

use proto_core::{EntryId, Node, PublicKey};

/// An author may hold so many of the biggest entries more than one that lost an entry: the one for which room was made,
/// the one that was lost, and what came into the room that was left.
const SLACK: usize = 3;

/// What an author holds in the window of a node.
#[derive(Debug)]
struct Share {
    bytes: usize,
    oldest: u64,
    newest: u64,
}

/// Who of these authors lost an entry that the node has shown, while another author held far more. Authors who are not
/// new by what they date have a larger part of the window (SPEC 9.15).
pub(super) fn robbed<'a>(
    node: &Node,
    shown: impl IntoIterator<Item = (&'a PublicKey, &'a EntryId)>,
) -> Option<(PublicKey, PublicKey)> {
    let held: BTreeSet<_> = node.entries().map(|entry| entry.id()).collect();
    let losers = shown.into_iter().filter(|(_, id)| !held.contains(id)).map(|(key, _)| *key);
    let losers: BTreeSet<_> = losers.filter(|key| *key != node.key()).collect();
    if losers.is_empty() {
        return None;
    }
    let shares = shares(node);
    let span = node.config().limits().chat.author_new.as_millis() as u64;
    let new = shares.iter().filter(|(key, share)| **key != node.key() && share.newest - share.oldest < span);
    let (most, share) = new.max_by_key(|(_, share)| share.bytes)?;
    let biggest = node.entries().map(|entry| entry.charge()).max().unwrap_or_default();
    let holds = |key: &PublicKey| shares.get(key).map_or(0, |share| share.bytes);
    let loser = losers.into_iter().find(|key| holds(key) + SLACK * biggest < share.bytes)?;
    Some((loser, *most))
}

fn shares(node: &Node) -> BTreeMap<PublicKey, Share> {
    let mut shares = BTreeMap::new();
    for entry in node.entries() {
        let share = shares.entry(entry.key()).or_insert(Share { bytes: 0, oldest: u64::MAX, newest: 0 });
        share.bytes += entry.charge();
        share.oldest = share.oldest.min(entry.at());
        share.newest = share.newest.max(entry.at());
    }
    shares
}

#[cfg(test)]
mod tests {
    use proto_core::Limits;

    use super::*;
    use crate::bench::meeting::{Author, Meeting};

    #[test]
    fn who_lost_entries_while_another_holds_far_more_is_found() {
        let (mut honest, mut flood) = (Author::new(5, 1), Author::new(6, 1));
        let lost = honest.says("lost", 50);
        let big = "x".repeat(10_000);
        let floods: Vec<_> = (0..5).map(|n| flood.says(&format!("{n} {big}"), 40 - n)).collect();
        for (count, found) in [(3, false), (5, true)] {
            let mut meeting = Meeting::new(&[Limits::default()]);
            meeting.give(0, &floods[..count]);
            let robbed = robbed(meeting.node(0), [(&lost.key(), &lost.id())]);
            assert_eq!(robbed, found.then(|| (lost.key(), floods[0].key())), "{count} entries");
            assert_eq!(
                super::robbed(meeting.node(0), [(&floods[0].key(), &floods[0].id())]),
                None,
                "it is held"
            );
        }
    }
}
