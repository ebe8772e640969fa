//! Bytes that no peer should send: the node reads on or cuts that peer, and two who talk through it notice nothing.

use std::time::{Duration, Instant};

use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};
use tests::raw::{RawPeer, join_line, join_line_v1};
use tests::talk::while_others_talk;
use tests::version1::random_uuid;

/// Sends bytes, then a message that must be heard.
#[track_caller]
fn reads_on_after(alice: &Process, peer: &RawPeer, name: &str, bytes: &[u8]) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let text = format!("after {}", NEXT.fetch_add(1, Ordering::Relaxed));
    peer.send(bytes);
    peer.send(format!("MSG|{text}\n"));
    alice.expect_out(&format!("{name}: {text}"), SOON);
}

#[test]
fn lines_that_are_not_utf8_are_skipped() {
    while_others_talk(|alice| {
        let (peer, _) = RawPeer::join(alice.addr(), "Mallory");
        for bytes in
            [&b"\xff\xfe\n"[..], b"MSG|\xc3\x28\n", b"PEERS|\x80\n", b"JOIN|{\"uname\":\"\xed\xa0\x80\"}\n"]
        {
            reads_on_after(alice, &peer, "Mallory", bytes);
        }
    });
}

#[test]
fn frames_may_be_split_at_every_byte() {
    while_others_talk(|alice| {
        let peer = RawPeer::connect(alice.addr());
        let text = "héllo, wörld \u{1f980}";
        let frames = format!("{}PEERS|\r\nMSG|{text}\nMSG|end\n", join_line(&random_uuid(), "Mallory"));
        for byte in frames.bytes() {
            peer.send([byte]);
        }
        alice.expect_out(&format!("Mallory: {text}"), SOON);
        alice.expect_out("Mallory: end", SOON);
    });
}

#[test]
fn many_frames_may_come_in_one_segment() {
    while_others_talk(|alice| {
        let peer = RawPeer::connect(alice.addr());
        let mut frames = join_line(&random_uuid(), "Mallory") + "PEERS|\n";
        (0..3_000).for_each(|n| frames += &format!("MSG|{n}\n"));
        peer.send(frames);
        alice.expect_out("Mallory: 2999", SOON);
        let heard: Vec<_> = alice.out().look(|all| {
            all.iter().filter_map(|line| line.strip_prefix("Mallory: ")).map(str::to_owned).collect()
        });
        assert!(heard.iter().cloned().eq((0..3_000).map(|n| n.to_string())), "{heard:?}");
    });
}

#[test]
fn crlf_blank_lines_and_unknown_types_do_no_harm() {
    while_others_talk(|alice| {
        let peer = RawPeer::connect(alice.addr());
        peer.send("\r\n\n\n");
        peer.send(join_line(&random_uuid(), "Mallory").replace('\n', "\r\n"));
        for bytes in ["\r\n", "\n\n\n\r\n\r\n", "HELLO|there\n", "CHAT|a|{}\nSYNC|\n", "IHAVE|1;2\r\n"] {
            reads_on_after(alice, &peer, "Mallory", bytes.as_bytes());
        }
        peer.send("MSG|with an end of two bytes\r\n");
        alice.expect_out("Mallory: with an end of two bytes", SOON);
    });
}

/// Each is a known frame that cannot be read, or one that is large for what it says.
fn malformed() -> Vec<String> {
    let deep = "[".repeat(10_000);
    let closed = format!("{deep}{}", "]".repeat(10_000));
    let mut frames = [
        "MSG",
        "MSG|",
        "JOIN",
        "JOIN|",
        "PEERS",
        "PING",
        "PING|",
        "PONG|",
        "JOIN|[]",
        "JOIN|7",
        "JOIN|{\"v\":[]}",
        "JOIN|{\"node_id\":7}",
        "PEERS|7",
        "PEERS|{",
        "PEERS|{};;{}",
        "PEERS|[{}]",
    ]
    .map(str::to_owned)
    .to_vec();
    frames.extend([format!("JOIN|{deep}"), format!("PEERS|{deep}"), format!("PEERS|{closed}")]);
    frames.extend([format!("JOIN|{{\"x\":{closed}}}"), format!("PEERS|{{\"x\":{closed}}}")]);
    frames.push(format!("PEERS|{}", ["{}"; 20_000].join(";")));
    frames.push(format!("PEERS|{}", vec!["null"; 13_000].join(";")));
    frames
}

#[test]
fn malformed_frames_are_skipped() {
    while_others_talk(|alice| {
        let (peer, _) = RawPeer::join(alice.addr(), "Mallory");
        for frame in malformed() {
            reads_on_after(alice, &peer, "Mallory", format!("{frame}\n").as_bytes());
        }
    });
}

#[test]
fn malformed_frames_before_join_do_no_harm() {
    while_others_talk(|alice| {
        for frame in malformed() {
            let peer = RawPeer::connect(alice.addr());
            // A line of more than 4,096 bytes is cut here, so the rest may find nobody.
            let _ = peer.try_send(format!("{frame}\n{}", join_line(&random_uuid(), "Mallory")));
            if frame.len() < 4_096 {
                peer.expect("PEERS|", SOON);
            } else {
                peer.expect_end(SOON);
            }
        }
    });
}

#[test]
fn too_many_malformed_frames_cut_the_peer() {
    while_others_talk(|alice| {
        for join in [join_line(&random_uuid(), "Mallory"), join_line_v1(&random_uuid(), "Mallory")] {
            let peer = RawPeer::connect(alice.addr());
            peer.send(join);
            peer.expect("PEERS|", SOON);
            reads_on_after(alice, &peer, "Mallory", "PEERS|7\n".repeat(31).as_bytes());
            peer.send("PEERS|7\n");
            peer.expect_end(SOON);
            alice.expect_peers(&["Bob"], SOON);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_without_end_is_cut_and_costs_no_memory() {
    while_others_talk(|alice| {
        let before = alice.peak_memory();
        let endless = |name: &str, joined: bool| {
            let peer =
                if joined { RawPeer::join(alice.addr(), name).0 } else { RawPeer::connect(alice.addr()) };
            let start = Instant::now();
            while peer.try_send([b'x'; 64 * 1024]).is_ok() {
                assert!(start.elapsed() < SOON, "the node still reads that line");
            }
            peer.expect_end(SOON);
        };
        std::thread::scope(|scope| {
            for (name, joined) in [("One", true), ("Two", true), ("Three", false), ("Four", false)] {
                scope.spawn(move || endless(name, joined));
            }
        });
        let grown = alice.peak_memory() - before;
        assert!(grown < 16 * 1024, "{grown} KiB");
        alice.expect_peers(&["Bob"], SOON);
    });
}

#[test]
fn the_longest_line_is_heard_and_one_byte_more_is_cut() {
    while_others_talk(|alice| {
        let (peer, _) = RawPeer::join(alice.addr(), "Mallory");
        let longest = "x".repeat(65_536 - "MSG|\n".len());
        peer.send(format!("MSG|{longest}\n"));
        alice.expect_out(&format!("Mallory: {longest}"), SOON);
        peer.send(format!("MSG|{longest}x\n"));
        peer.expect_end(SOON);
        alice.expect_peers(&["Bob"], SOON);
    });
}

#[test]
fn control_characters_are_not_printed() {
    while_others_talk(|alice| {
        let (peer, _) = RawPeer::join(alice.addr(), "Mal\u{1b}[31mlory\u{202e}");
        peer.send("MSG|\u{1b}]0;owned\u{7}\u{202e}gnp.exe\u{0}\rBob: forged\n");
        alice.out().expect_one("the message", SOON, |line| line.contains("owned"));
        let unsafe_char = |char: char| char.is_control() || ('\u{202a}'..='\u{202e}').contains(&char);
        alice.out().look(|all| assert!(!all.iter().any(|line| line.contains(unsafe_char)), "{all:?}"));
        alice.out().look(|all| assert!(!all.iter().any(|line| line.starts_with("Bob: forged"))));
    });
}

#[test]
fn an_api_message_with_line_breaks_is_a_message_a_line() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        let (raw, _) = RawPeer::join(alice.addr(), "Raw");
        alice.expect_peers(&["Bob", "Raw"], SOON);
        let join = join_line(&random_uuid(), "Forged");
        alice.send(&format!("one\ntwo\r\n\n{join}BYE|shutdown|x\rthree"));
        let lines = ["one", "two", join.trim_end(), "BYE|shutdown|x", "three"];
        bob.expect_out("Alice: three", SOON);
        assert_eq!(bob.out().all(), lines.map(|line| format!("Alice: {line}")));
        raw.expect("MSG|three", SOON);
        let frames: Vec<_> = raw.lines().all().into_iter().filter(|line| !line.starts_with("P")).collect();
        assert_eq!(frames[1..], lines.map(|line| format!("MSG|{line}")));
        alice.expect_peers(&["Bob", "Raw"], SOON);
    });
}

#[test]
fn a_half_closed_connection_is_a_closed_one() {
    while_others_talk(|alice| {
        let silent = RawPeer::connect(alice.addr());
        let (joined, _) = RawPeer::join(alice.addr(), "Mallory");
        let (late, _) = RawPeer::join(alice.addr(), "Late");
        late.send("MSG|my last wo");
        [&silent, &joined, &late].iter().for_each(|peer| peer.end_sending());
        [&silent, &joined, &late].iter().for_each(|peer| peer.expect_end(SOON));
        alice.expect_peers(&["Bob"], SOON);
        assert!(alice.out().look(|all| !all.iter().any(|line| line.contains("my last wo"))));
    });
}

#[test]
fn input_that_is_not_utf8_is_said_as_far_as_it_can_be() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        alice.expect_peers(&["Bob"], SOON);
        alice.type_bytes(b"caf\xe9\n\xff\xfe\nplain\r\n");
        bob.expect_out("Alice: plain", 5 * Duration::from_secs(2));
        let said = ["caf\u{fffd}", "\u{fffd}\u{fffd}", "plain"];
        assert_eq!(bob.out().all(), said.map(|line| format!("Alice: {line}")));
    });
}
