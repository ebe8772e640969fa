//! The texts of notices, for the terminal, the page and logs.

use proto_core::wire::ByeCode;
use proto_core::{Name, Notice, Status, TargetFailure, TargetState, TargetStatus};

use crate::store::StoreProblem;

/// The text of a notice. It contains names as peers sent them, so the caller has to escape control characters.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Gap { uname, missing: count, .. } => missing(*count, uname),
        Notice::CaughtUp { entries: 1 } => "1 message was sent before you were connected".to_owned(),
        Notice::CaughtUp { entries } => format!("{entries} messages were sent before you were connected"),
        Notice::Backfill { came, missing, over } => backfill(*came, *missing, *over),
        Notice::ClockOff { ahead_ms, clocks } => {
            let which = if *ahead_ms > 0 { "ahead of" } else { "behind" };
            let time = duration(ahead_ms.unsigned_abs());
            match clocks {
                ..=1 => {
                    format!("your clock is {time} {which} the other node's clock: one of the two is wrong")
                }
                _ => format!("your clock is {time} {which} the other nodes' clocks"),
            }
        }
        Notice::NameTaken { node_id, uname, holder } => {
            let (new, known) = (node_id.short(), holder.short());
            format!("{uname} ({new}) goes by the name of {uname} ({known}): it may be somebody else")
        }
        Notice::Alone => {
            "you are connected to nobody: no one sees your messages until a peer connects".to_owned()
        }
        Notice::KeyShared => {
            "another node uses your key, and what it says appears as yours: start one of the two with another --data-dir"
                .to_owned()
        }
        Notice::Unreachable { target, reason } => {
            format!("cannot reach {target} ({reason}); retrying")
        }
        Notice::WrongKey { target, expected, found, given: true } => {
            let (expected, found) = (expected.short(), found.short());
            format!("{target} is another node ({found}) than the one you named ({expected}); retrying")
        }
        Notice::WrongKey { target, expected, found, given: false } => {
            let (expected, found) = (expected.short(), found.short());
            format!(
                "{target} is another node ({found}) than before ({expected}), and is left alone: \
                 /connect {target} accepts it"
            )
        }
        Notice::NotAChatNode { target } => format!("{target} is not a chat node; retrying"),
        Notice::IsSelf { target } => format!("{target} is this node itself; it is not dialed again"),
        Notice::OtherNetwork { remote } => {
            format!(
                "{remote} tried to connect, but belongs to another network: compare your --network options, or \
                 let version 1 nodes in with --allow-v1"
            )
        }
        Notice::TurnedAway { target, code: ByeCode::Network } => {
            format!(
                "{target} belongs to another network: compare your --network options, or let version 1 nodes \
                 in with --allow-v1"
            )
        }
        Notice::TurnedAway { target, code: ByeCode::Taken } => {
            let why = turned_away(ByeCode::Taken);
            format!("no link with {target} ({why}); retrying every ten minutes")
        }
        Notice::TurnedAway { target, code } => {
            format!("no link with {target} ({}); retrying", turned_away(*code))
        }
        other => format!("{other:?}"),
    }
}

/// How it stands with an address that the user gave.
pub(crate) fn target(target: &TargetStatus) -> String {
    let state = match target.state {
        TargetState::Waiting(wait) if target.failure.is_some() => {
            format!("dialed again in {} s", wait.as_secs_f32().ceil())
        }
        TargetState::Waiting(_) => "about to be dialed".to_owned(),
        TargetState::Dialing => "being dialed".to_owned(),
        TargetState::Linked(_) => "connected".to_owned(),
        TargetState::Own => "this node itself, and not dialed".to_owned(),
        _ => "in an unknown state".to_owned(),
    };
    let failure = target.failure.map(failure).map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{}: {state}{failure}", target.addr)
}

/// Why an attempt failed.
pub(crate) fn failure(failure: TargetFailure) -> String {
    match failure {
        TargetFailure::Unreachable(reason) => reason.to_string(),
        TargetFailure::NotAChatNode => "not a chat node".to_owned(),
        TargetFailure::TurnedAway(ByeCode::Network) => "it belongs to another network".to_owned(),
        TargetFailure::TurnedAway(code) => turned_away(code).to_owned(),
        _ => "an unknown reason".to_owned(),
    }
}

/// Whether something is wrong that the user can do something about.
pub(crate) fn is_problem(notice: &Notice) -> bool {
    !matches!(notice, Notice::CaughtUp { .. } | Notice::Backfill { .. })
}

/// The problems of a node in this state: no peers, a wrong clock, missing messages.
pub(crate) fn problems(status: &Status) -> Vec<String> {
    let alone = status.links.is_empty().then_some(Notice::Alone);
    let clock = status.clock_ahead_ms.map(|ahead_ms| Notice::ClockOff { ahead_ms, clocks: status.clocks });
    let gaps = status.gaps.iter().map(|gap| missing(gap.to.saturating_sub(gap.from), &gap.uname));
    alone.iter().chain(&clock).map(notice).chain(gaps).collect()
}

/// The problem of a node whose store cannot write.
pub(crate) fn not_kept(problem: StoreProblem) -> String {
    format!("messages are not being kept: {problem}")
}

/// How far the history is that is fetched from peers.
fn backfill(came: u64, missing: u64, over: bool) -> String {
    let of = |count: u64| {
        if count == 1 { "1 older message".to_owned() } else { format!("{count} older messages") }
    };
    match (came, missing) {
        _ if !over => format!("the history is being filled: {} came, {missing} to go", of(came)),
        (_, 0) => format!("the history is filled: {} came", of(came)),
        (0, _) => format!("the history lacks {}, which nobody connected has", of(missing)),
        _ => format!("the history is filled: {} came, and nobody connected has {missing} others", of(came)),
    }
}

fn missing(count: u64, uname: &Name) -> String {
    match count {
        1 => format!("1 message from {uname} is missing"),
        _ => format!("{count} messages from {uname} are missing"),
    }
}

fn turned_away(code: ByeCode) -> &'static str {
    match code {
        ByeCode::Shutdown => "it is shutting down",
        ByeCode::Duplicate => "another connection to it is kept",
        ByeCode::Full => "no room for another link",
        ByeCode::SelfLink => "it is this node itself",
        ByeCode::Refused => "two nodes claim one id",
        ByeCode::Violation => "protocol violation",
        ByeCode::Taken => "another node with the same key is linked already",
        _ => "the connection was closed",
    }
}

/// A duration in the unit that people would use.
pub(crate) fn duration(millis: u64) -> String {
    match millis / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto_core::{Config, ConnId, GapStatus, Identity, Instant, LinkStatus, Node, PeerInfo};

    use super::*;

    fn link(node: &Node) -> LinkStatus {
        let addr = "127.0.0.1:9".parse().unwrap();
        LinkStatus::new(ConnId(1), Arc::new(PeerInfo::new(node.id(), "Bob".parse().unwrap(), addr)))
    }

    #[test]
    fn what_is_wrong_with_a_node_is_told_in_words() {
        let config = Config::new("Alice".parse().unwrap());
        let node = Node::new(config, Identity::from_secret(&[1; 32]), [1; 32], Instant::ORIGIN);
        let alone = "you are connected to nobody: no one sees your messages until a peer connects";
        assert_eq!(problems(&node.status()), [alone]);
        let mut linked = node.status();
        linked.links = vec![link(&node)];
        assert_eq!(problems(&linked), [""; 0]);
        let gap = |from, to| GapStatus::new(node.id(), "Bob".parse().unwrap(), 1, from, to);
        let mut status = linked;
        (status.clock_ahead_ms, status.clocks) = (Some(-180_000), 1);
        let words = ["your clock is 3 min behind the other node's clock: one of the two is wrong"];
        assert_eq!(problems(&status), words);
        (status.clocks, status.gaps) = (3, vec![gap(0, 1), gap(5, 8)]);
        let words = [
            "your clock is 3 min behind the other nodes' clocks",
            "1 message from Bob is missing",
            "3 messages from Bob are missing",
        ];
        assert_eq!(problems(&status), words);
    }

    #[test]
    fn who_goes_by_a_known_name_is_told_with_both_ids() {
        let [node_id, holder] = [1, 2].map(|n| Identity::from_secret(&[n; 32]).node_id());
        let (new, known) = (node_id.short(), holder.short());
        assert_eq!(
            notice(&Notice::NameTaken { node_id, uname: "Bob".parse().unwrap(), holder }),
            format!("Bob ({new}) goes by the name of Bob ({known}): it may be somebody else")
        );
    }

    #[test]
    fn how_far_the_history_is_filled_is_told_in_words() {
        for (came, missing, over, words) in [
            (500, 1_500, false, "the history is being filled: 500 older messages came, 1500 to go"),
            (1, 0, true, "the history is filled: 1 older message came"),
            (0, 400, true, "the history lacks 400 older messages, which nobody connected has"),
            (9, 4, true, "the history is filled: 9 older messages came, and nobody connected has 4 others"),
        ] {
            let told = Notice::Backfill { came, missing, over };
            assert_eq!(notice(&told), words);
            assert!(!is_problem(&told));
        }
    }

    #[test]
    fn two_nodes_with_one_key_are_told_what_to_do() {
        let target = "192.0.2.1:8080".parse().unwrap();
        let why = "no link with 192.0.2.1:8080 (another node with the same key is linked already)";
        assert_eq!(
            notice(&Notice::TurnedAway { target, code: ByeCode::Taken }),
            format!("{why}; retrying every ten minutes")
        );
        let [expected, found] = [1, 2].map(|n| proto_core::NodeId::from_bytes([n; 16]));
        let wrong =
            |given| Notice::WrongKey { target: "a.example:1".parse().unwrap(), expected, found, given };
        assert_eq!(
            [true, false].map(|given| notice(&wrong(given))),
            [
                "a.example:1 is another node (0202020202020202) than the one you named (0101010101010101); retrying",
                "a.example:1 is another node (0202020202020202) than before (0101010101010101), and is left alone: \
                 /connect a.example:1 accepts it",
            ]
        );
        assert!(notice(&Notice::KeyShared).ends_with("start one of the two with another --data-dir"));
    }

    #[test]
    fn no_notice_is_told_as_code() {
        let (uname, node_id) = ("Bob".parse::<Name>().unwrap(), proto_core::NodeId::from_bytes([1; 16]));
        let target: proto_core::PeerAddr = "a.example:1".parse().unwrap();
        let backfill = |came, missing, over| Notice::Backfill { came, missing, over };
        let mut all = vec![
            backfill(1, 2, false),
            backfill(7, 0, true),
            backfill(0, 1, true),
            backfill(7, 2, true),
            Notice::CaughtUp { entries: 1 },
            Notice::Gap { node_id, uname: uname.clone(), missing: 2 },
            Notice::ClockOff { ahead_ms: 5_000, clocks: 2 },
            Notice::NameTaken { node_id, uname, holder: node_id },
            Notice::KeyShared,
            Notice::Alone,
            Notice::Unreachable { target: target.clone(), reason: proto_core::DialError::Refused },
            Notice::WrongKey { target: target.clone(), expected: node_id, found: node_id, given: true },
            Notice::NotAChatNode { target: target.clone() },
            Notice::IsSelf { target: target.clone() },
            Notice::OtherNetwork { remote: "192.0.2.1:1".parse().unwrap() },
        ];
        let codes = [ByeCode::Network, ByeCode::Taken, ByeCode::Full, ByeCode::Other];
        all.extend(codes.map(|code| Notice::TurnedAway { target: target.clone(), code }));
        let texts: Vec<_> = all.iter().map(notice).collect();
        assert_eq!(
            texts[..4],
            [
                "the history is being filled: 1 older message came, 2 to go",
                "the history is filled: 7 older messages came",
                "the history lacks 1 older message, which nobody connected has",
                "the history is filled: 7 older messages came, and nobody connected has 2 others",
            ]
        );
        for (text, told) in texts.iter().zip(&all) {
            assert!(!text.contains(['{', '}']) && *text != format!("{told:?}"), "{text}");
        }
    }

    #[test]
    fn clocks_are_compared_in_units_of_people() {
        for (ahead_ms, words) in [
            (-2_999, "your clock is 2 s behind the other nodes' clocks"),
            (119_000, "your clock is 119 s ahead of the other nodes' clocks"),
            (300_000, "your clock is 5 min ahead of the other nodes' clocks"),
            (-7_200_000, "your clock is 2 h behind the other nodes' clocks"),
            (i64::MIN, "your clock is 106751991167 days behind the other nodes' clocks"),
        ] {
            assert_eq!(notice(&Notice::ClockOff { ahead_ms, clocks: 2 }), words);
        }
    }
}
