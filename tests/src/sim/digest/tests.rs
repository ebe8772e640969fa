use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{ChatText, Draft, EntryId, Identity, Name, RunPosition, Seal, Via};

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The first with one value changed.
fn with<T: Clone>(first: &T, change: impl FnOnce(&mut T)) -> T {
    let mut other = first.clone();
    change(&mut other);
    other
}

fn peer() -> PeerInfo {
    let peer = PeerInfo::new(NodeId::from_bytes([7; 16]), name("Alice"), addr("10.0.0.1:40001"));
    with(&peer, |peer| {
        peer.listen_addr = Some(addr("10.0.0.1:4000"));
        peer.version = Version::V2;
        peer.key = Some(Identity::from_secret(&[1; 32]).key());
    })
}

/// Peers that differ from the first in one value each.
fn peers() -> Vec<Arc<PeerInfo>> {
    let first = peer();
    let peers = [
        first.clone(),
        with(&first, |peer| peer.node_id = NodeId::from_bytes([8; 16])),
        with(&first, |peer| peer.uname = name("Bob")),
        with(&first, |peer| peer.listen_addr = Some(addr("10.0.0.1:4001"))),
        with(&first, |peer| peer.listen_addr = Some(addr("[::1]:4000"))),
        with(&first, |peer| peer.listen_addr = None),
        with(&first, |peer| peer.remote_addr = addr("10.0.0.2:40001")),
        with(&first, |peer| peer.version = Version::V1),
        with(&first, |peer| peer.key = Some(Identity::from_secret(&[2; 32]).key())),
        with(&first, |peer| peer.key = None),
        with(&first, |peer| peer.sealed = true),
    ];
    peers.map(Arc::new).into()
}

/// Entries that differ from the first in one value each.
fn entries() -> Vec<Arc<Entry>> {
    let (uname, other) = (name("Alice"), name("Bob"));
    let texts = ["one", "two"].map(|text| ChatText::new(text).unwrap());
    let to = [NodeId::from_bytes([3; 16])];
    let via = Via::new(NodeId::from_bytes([4; 16]), name("Old"));
    let (position, room) =
        (RunPosition::new(2, EntryId::from_bytes([5; 32])).unwrap(), "Garden".parse().unwrap());
    let draft = with(&Draft::new(1, position, 3, &uname, &texts, [6; 16]), |draft| draft.to = &to);
    let drafts = [
        draft.clone(),
        with(&draft, |draft| draft.epoch = 9),
        with(&draft, |draft| draft.position = RunPosition::FIRST),
        with(&draft, |draft| draft.room = Some(&room)),
        with(&draft, |draft| draft.salt = [7; 16]),
        with(&draft, |draft| draft.at = 9),
        with(&draft, |draft| draft.uname = &other),
        with(&draft, |draft| draft.texts = &texts[..1]),
        with(&draft, |draft| draft.to = &[]),
        with(&draft, |draft| draft.via = Some(&via)),
    ];
    let identity = Identity::from_secret(&[1; 32]);
    let others = Entry::sign(&Identity::from_secret(&[2; 32]), &draft);
    let entries = drafts.iter().map(|draft| Entry::sign(&identity, draft)).chain([others]);
    entries.map(Arc::new).collect()
}

fn messages() -> Vec<Action> {
    let line = |peer, text: &str| Action::Deliver(Message::Line { peer, text: text.to_owned() });
    let entry = |entry, marks| Action::Deliver(Message::Entry { entry, marks });
    let mut actions: Vec<_> = peers().into_iter().map(|peer| line(peer, "hello")).collect();
    actions.push(line(Arc::new(peer()), "hullo"));
    actions.extend(entries().into_iter().map(|each| entry(each, Marks::default())));
    let plain = Marks::default();
    let marked = [
        with(&plain, |marks| marks.late = true),
        with(&plain, |marks| marks.forked = true),
        with(&plain, |marks| marks.backdated = true),
        with(&plain, |marks| marks.behind = true),
        with(&plain, |marks| marks.history = true),
        with(&plain, |marks| marks.catch_up = true),
        with(&plain, |marks| marks.name_taken = true),
    ];
    actions.extend(marked.map(|marks| entry(entries().remove(0), marks)));
    actions
}

fn notices() -> Vec<Action> {
    let gap = |id, uname: &str, missing| Notice::Gap {
        node_id: NodeId::from_bytes([id; 16]),
        uname: name(uname),
        missing,
    };
    let mut notices = vec![gap(1, "Alice", 1), gap(2, "Alice", 1), gap(1, "Bob", 1), gap(1, "Alice", 2)];
    let taken = |id, uname: &str, holder| Notice::NameTaken {
        node_id: NodeId::from_bytes([id; 16]),
        uname: name(uname),
        holder: NodeId::from_bytes([holder; 16]),
    };
    notices.extend([taken(1, "Alice", 2), taken(3, "Alice", 2), taken(1, "Bob", 2), taken(1, "Alice", 3)]);
    notices.extend([(1, 1), (-1, 1), (1, 2)].map(|(ahead_ms, clocks)| Notice::ClockOff { ahead_ms, clocks }));
    notices.extend([0, 1].map(|entries| Notice::CaughtUp { entries }));
    notices.push(Notice::Alone);
    notices.extend([1, 2].map(|port| Notice::OtherNetwork { remote: ([10, 0, 0, 1], port).into() }));
    for target in ["10.0.0.1:4000", "10.0.0.1:4001", "name.example:4000", "name.example:4001"] {
        let target: PeerAddr = target.parse().unwrap();
        let reasons = [
            DialError::NotResolved,
            DialError::Refused,
            DialError::Unreachable,
            DialError::TimedOut,
            DialError::NoResources,
            DialError::WrongKey { found: NodeId::from_bytes([1; 16]) },
            DialError::NotSealed,
            DialError::Other,
        ];
        notices.extend(reasons.map(|reason| Notice::Unreachable { target: target.clone(), reason }));
        let codes = [
            ByeCode::Shutdown,
            ByeCode::Duplicate,
            ByeCode::Full,
            ByeCode::SelfLink,
            ByeCode::Refused,
            ByeCode::Violation,
            ByeCode::Network,
            ByeCode::Other,
        ];
        notices.extend(codes.map(|code| Notice::TurnedAway { target: target.clone(), code }));
        let wrong = |expected, found, given| Notice::WrongKey {
            target: target.clone(),
            expected: NodeId::from_bytes([expected; 16]),
            found: NodeId::from_bytes([found; 16]),
            given,
        };
        notices.extend([wrong(1, 2, true), wrong(3, 2, true), wrong(1, 3, true), wrong(1, 2, false)]);
        notices.extend([Notice::NotAChatNode { target: target.clone() }, Notice::IsSelf { target }]);
    }
    notices.into_iter().map(Action::Notice).collect()
}

fn reports() -> Vec<Action> {
    let malformed = [
        FrameError::NotUtf8,
        FrameError::NoPayload,
        FrameError::Json,
        FrameError::NodeId,
        FrameError::Token,
        FrameError::Key,
        FrameError::Network,
        FrameError::Base64,
        FrameError::TooMany,
        FrameError::Tree,
    ];
    let others = [
        Violation::TooManyMalformed,
        Violation::LineTooLong,
        Violation::BeforeJoin,
        Violation::NoGreeting,
        Violation::UnreadableGreeting(FrameError::Json),
        Violation::Banned,
        Violation::ClaimsOurId,
        Violation::ClaimsPeersId,
        Violation::NotItsKeysId,
        Violation::FalseProof,
        Violation::BeforeProof,
        Violation::Entry(EntryError::Content),
        Violation::Entry(EntryError::Signature),
        Violation::Entry(EntryError::Body),
        Violation::FalseTree,
        Violation::Sync,
        Violation::SyncsIgnored,
        Violation::SecondId,
        Violation::InClear,
        Violation::NotTheConnectionsKey,
    ];
    let report = |conn, remote: &str, violation| Action::Report {
        conn: ConnId(conn),
        remote: addr(remote),
        violation,
    };
    let violations = malformed.into_iter().map(Violation::Malformed).chain(others);
    let mut actions: Vec<_> = violations.map(|violation| report(1, "10.0.0.1:4000", violation)).collect();
    actions.push(report(2, "10.0.0.1:4000", Violation::Sync));
    actions.push(report(1, "10.0.0.1:4001", Violation::Sync));
    actions
}

fn connections() -> Vec<Action> {
    let mut actions = vec![Action::Ready];
    for conn in [1, 2].map(ConnId) {
        actions.extend([
            Action::SendFrame { conn, bytes: b"JOIN|{}\n".to_vec() },
            Action::SendFrame { conn, bytes: b"MSG|a\n".to_vec() },
            Action::AcceptSeal { conn },
            Action::PauseReading { conn },
            Action::ResumeReading { conn },
            Action::Close { conn },
            Action::Abort { conn },
        ]);
    }
    for peer in peers() {
        actions.extend([Action::RegisterPeer(peer.clone()), Action::UpdatePeer(peer.clone())]);
        actions.push(Action::UnregisterPeer { peer, reason: LeaveReason::Bye });
    }
    let reasons = [
        LeaveReason::Stopping,
        LeaveReason::Closed,
        LeaveReason::Silent,
        LeaveReason::Slow,
        LeaveReason::Violation,
        LeaveReason::NoRoom,
    ];
    actions.extend(reasons.map(|reason| Action::UnregisterPeer { peer: Arc::new(peer()), reason }));
    actions
}

fn digest(act: impl FnOnce(&mut Digest)) -> String {
    let mut digest = Digest::default();
    act(&mut digest);
    digest.hex()
}

/// Two dials as a node numbers them: such numbers cannot be made here.
fn dials() -> Vec<DialId> {
    let identity = Identity::from_secret(&[1; 32]);
    let config = proto_core::Config::new(name("Alice"));
    let start = proto_core::Instant::ORIGIN;
    let mut node = proto_core::Node::new(config, identity, [2; 32], start);
    node.handle_input(start, proto_core::Input::wall_clock(1_700_000_000_000));
    for target in ["10.0.0.2:4000", "10.0.0.3:4000"] {
        node.command(start, proto_core::Command::Connect(target.parse().unwrap())).unwrap();
    }
    let actions = std::iter::from_fn(|| node.poll_action());
    let dials = actions.filter_map(|action| match action {
        Action::Dial { dial, .. } => Some(dial),
        _ => None,
    });
    dials.collect()
}

#[test]
fn whatever_differs_in_an_action_differs_in_the_digest() {
    let mut all = [connections(), messages(), notices(), reports()].concat();
    let dial = dials()[0];
    let resolve = |host: &str, port| Action::Resolve { dial, host: host.to_owned(), port };
    all.extend([resolve("a.example", 1), resolve("b.example", 1), resolve("a.example", 2)]);
    all.extend(["10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2"].map(|to| Action::Dial {
        dial,
        addr: addr(to),
        seal: Seal::Clear,
    }));
    let expected = [1, 2].map(|n| Identity::from_secret(&[n; 32]).key());
    let expected = expected.into_iter().flat_map(|key| [Expected::Key(key), Expected::Id(key.node_id())]);
    all.extend(expected.map(Some).chain([None]).map(|expected| Action::Dial {
        dial,
        addr: addr("10.0.0.1:1"),
        seal: Seal::Sealed { expected },
    }));
    all.push(Action::CancelDial { dial });
    let mut digests: BTreeSet<_> =
        all.iter().map(|action| digest(|digest| digest.action(1, 1, action))).collect();
    assert_eq!(digests.len(), all.len());
    // When, where and in which order it is done, and what is answered.
    let ready = Action::Ready;
    let entry = entries().remove(0);
    let others = [
        digest(|_| {}),
        digest(|digest| digest.action(2, 1, &ready)),
        digest(|digest| digest.action(1, 2, &ready)),
        digest(|digest| [&all[1], &all[2]].into_iter().for_each(|action| digest.action(1, 1, action))),
        digest(|digest| [&all[2], &all[1]].into_iter().for_each(|action| digest.action(1, 1, action))),
        digest(|digest| digest.started(1, 1)),
        digest(|digest| digest.answered(1, 1, &Ok(Outcome::Done))),
        digest(|digest| digest.answered(1, 1, &Ok(Outcome::Said(Vec::new())))),
        digest(|digest| digest.answered(1, 1, &Ok(Outcome::Said(vec![entry])))),
        digest(|digest| digest.answered(1, 1, &Err(CommandError::Busy))),
        digest(|digest| digest.answered(1, 1, &Err(CommandError::TooMuch))),
        digest(|digest| digest.answered(1, 1, &Err(CommandError::TooManyTargets))),
        digest(|digest| digest.answered(1, 1, &Err(CommandError::ShuttingDown))),
    ];
    let count = digests.len() + others.len();
    digests.extend(others);
    assert_eq!(digests.len(), count);
}

#[test]
fn dials_are_numbered_by_their_order_on_each_node() {
    let [first, second] = dials().try_into().unwrap();
    let cancel = |dials: &[DialId]| {
        digest(|digest| {
            digest.started(1, 1);
            dials.iter().for_each(|dial| digest.action(1, 1, &Action::CancelDial { dial: *dial }));
        })
    };
    assert_eq!(cancel(&[first, second, first]), cancel(&[second, first, second]));
    assert_ne!(cancel(&[first, second, first]), cancel(&[first, second, second]));
    // The next node on the host begins again.
    let two_nodes = |dials: [DialId; 2]| {
        digest(|digest| {
            for dial in dials {
                digest.started(1, 1);
                digest.action(1, 1, &Action::CancelDial { dial });
            }
        })
    };
    assert_eq!(two_nodes([first, first]), two_nodes([first, second]));
}

/// The encoding itself stays as it is: all kept digests depend on it.
#[test]
fn the_encoding_is_the_one_of_the_kept_digests() {
    let all = [connections(), messages(), notices(), reports()].concat();
    let got = digest(|digest| {
        digest.started(0, 3);
        for (now, action) in (1..).zip(&all) {
            digest.action(now, 3, action);
        }
        for dial in dials() {
            digest.action(1_000, 3, &Action::CancelDial { dial });
            digest.action(1_000, 3, &Action::Dial { dial, addr: addr("[fe80::1]:4000"), seal: Seal::Clear });
            digest.action(1_000, 3, &Action::Resolve { dial, host: "a.example".to_owned(), port: 4_000 });
        }
        let said = entries().split_off(7);
        let answers = [
            Ok(Outcome::Done),
            Ok(Outcome::Said(said)),
            Err(CommandError::Busy),
            Err(CommandError::TooMuch),
            Err(CommandError::TooManyTargets),
            Err(CommandError::ShuttingDown),
        ];
        answers.iter().for_each(|answer| digest.answered(2_000, 4, answer));
    });
    assert_eq!(got, "d4c163d5bf53aa670569df6b76257842a35935e1341b64a8775d8f4af6de1c7c");
}
