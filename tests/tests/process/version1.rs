//! Networks of version 1 and version 2 nodes: everybody hears everybody, once.

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tests::journal::SOON;
use tests::process::{Driver, Launch, Process};
use tests::raw::{RawPeer, join_line_v1};
use tests::version1::{Event, Habits, Version1};

/// Lines in each direction between a node and a version 1 peer; each must be heard once, and in order where there is
/// one connection: what it says on two of them, as it moves to the later, may come in any order.
#[track_caller]
fn each_hears(node: &mut Process, old: &Version1, round: usize) {
    let (node_name, old_name) = (node.uname().to_owned(), "Dora");
    for n in 0..3 {
        node.say(&format!("{round}.{n}"));
        old.say(&format!("{round}.{n}"));
    }
    for n in 0..3 {
        old.expect_printed(&format!("{node_name}: {round}.{n}"), SOON);
        node.expect_out(&format!("{old_name}: {round}.{n}"), SOON);
    }
    let said = |name: &str| -> Vec<_> {
        let numbers = (0..=round).flat_map(|round| (0..3).map(move |n| (round, n)));
        numbers.map(|(round, n)| format!("{name}: {round}.{n}")).collect()
    };
    let (mut printed, mut heard) = (old.printed(), node.out().all());
    if old.events().look(|events| events.iter().filter(|it| matches!(it, Event::Joined { .. })).count()) > 1 {
        printed.sort();
        heard.sort();
    }
    assert_eq!(printed, said(&node_name));
    assert_eq!(heard, said(old_name));
    old.expect_only_version_1();
}

#[test]
fn it_dials_us() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let dora = Version1::start("Dora");
        dora.dial(alice.addr());
        dora.expect_peer("Alice", SOON);
        alice.expect_peers(&["Dora"], SOON);
        let listed = &alice.peers()[0];
        assert_eq!((listed["node_id"].as_str(), listed["uname"].as_str()), (Some(dora.id()), Some("Dora")));
        assert_eq!(listed["listen_addr"], dora.addr().to_string());
        each_hears(&mut alice, &dora, 0);
    });
}

#[test]
fn we_dial_it() {
    Driver::each(|driver| {
        let dora = Version1::start("Dora");
        let mut alice = Launch::new(driver, "Alice").peer(dora.addr()).start();
        dora.expect_peer("Alice", SOON);
        alice.expect_peers(&["Dora"], SOON);
        each_hears(&mut alice, &dora, 0);
    });
}

#[test]
fn a_network_with_a_name_takes_it_in_only_where_the_user_allows_that() {
    Driver::each(|driver| {
        let club = |name| Launch::new(driver, name).args(["--network", "club"]);
        let anna = club("Anna").start();
        let mut ben = club("Ben").args(["--allow-v1"]).peer(anna.addr()).start();
        ben.expect_peers(&["Anna"], SOON);
        let dora = Version1::start("Dora");
        dora.dial(anna.addr());
        anna.expect_err(&["127.0.0.1", "belongs to another network"], SOON);
        dora.events().expect("the end of the connection", SOON, |events| {
            events.iter().any(|event| matches!(event, Event::Closed(_))).then_some(())
        });
        dora.dial(ben.addr());
        dora.expect_peer("Ben", SOON);
        ben.expect_peers(&["Anna", "Dora"], SOON);
        each_hears(&mut ben, &dora, 0);
        assert_eq!(anna.peers().len(), 1, "Ben alone");
        // Anna hears of Ben what she does not take from Dora herself.
        anna.expect_out("Dora: 0.2", SOON);
    });
}

#[test]
fn one_that_speaks_only_if_it_was_not_spoken_to_is_let_speak_first() {
    Driver::each(|driver| {
        let habits = Habits { speaks_after: Duration::from_millis(5), ..Habits::default() };
        let dora = Version1::start_at("Dora", (Ipv4Addr::LOCALHOST, 0).into(), habits);
        let mut alice = Launch::new(driver, "Alice").peer(dora.addr()).start();
        // Sooner than the connection of a peer that says nothing ends.
        alice.expect_peers(&["Dora"], SOON);
        dora.expect_peer("Alice", SOON);
        each_hears(&mut alice, &dora, 0);
    });
}

#[test]
fn both_dial_at_once() {
    Driver::each(|driver| {
        for _ in 0..8 {
            let dora = Version1::start("Dora");
            let mut alice = Launch::new(driver, "Alice").peer(dora.addr()).start();
            dora.dial(alice.addr());
            dora.expect_peer("Alice", SOON);
            alice.expect_peers(&["Dora"], SOON);
            each_hears(&mut alice, &dora, 0);
            // By now both connections are settled.
            dora.events().expect("both connections", SOON, |events| {
                let joined = events.iter().filter(|event| matches!(event, Event::Joined { .. }));
                (joined.count() == 2).then_some(())
            });
            each_hears(&mut alice, &dora, 1);
            let lost = |event: &Event| matches!(event, Event::Closed(_) | Event::Forgot(_) | Event::Lost(_));
            assert!(!dora.events().all().iter().any(lost), "{:#?}", dora.events());
        }
    });
}

#[test]
fn what_is_said_from_the_moment_it_is_here_reaches_it() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let mut input = alice.take_input();
        let (stop, stopped) = sync_channel::<()>(0);
        let typist = std::thread::spawn(move || {
            let go_on = || stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout);
            let lines = (0..).take_while(|n| go_on() && writeln!(input, "{n}").is_ok());
            lines.last().expect("a line")
        });
        let newcomers: Vec<_> = (0..8)
            .map(|n| {
                let name = format!("Dora {n}");
                let dora = Version1::start(&name);
                dora.dial(alice.addr());
                dora.expect_peer("Alice", SOON);
                dora
            })
            .collect();
        drop(stop);
        let last: usize = typist.join().unwrap();
        for dora in newcomers {
            dora.expect_printed(&format!("Alice: {last}"), SOON);
            let numbers =
                dora.printed().into_iter().map(|line| line["Alice: ".len()..].parse::<usize>().unwrap());
            let numbers: Vec<_> = numbers.collect();
            assert!(numbers.iter().copied().eq(numbers[0]..=last), "{numbers:?}");
            let lost = dora.events().all().into_iter().find(|event| matches!(event, Event::Lost(_)));
            assert_eq!(lost, None, "what is said too soon after JOIN is lost");
        }
    });
}

#[test]
fn one_that_never_says_join_is_hung_up_on_and_dialed_again() {
    Driver::each(|driver| {
        let habits = Habits { silent: 1, ..Habits::default() };
        let dora = Version1::start_at("Dora", (Ipv4Addr::LOCALHOST, 0).into(), habits);
        let mut alice = Launch::new(driver, "Alice").peer(dora.addr()).start();
        let greeting = Duration::from_secs(15);
        dora.events()
            .expect_one("the end of the silent one", 5 * greeting, |event| *event == Event::Closed(0));
        alice.expect_peers(&["Dora"], 5 * Duration::from_secs(8));
        dora.expect_peer("Alice", SOON);
        each_hears(&mut alice, &dora, 0);
    });
}

#[test]
fn one_that_restarts_is_back_under_its_new_id() {
    Driver::each(|driver| {
        let mut dora = Version1::start("Dora");
        let (addr, id) = (dora.addr(), dora.id().to_owned());
        let mut alice = Launch::new(driver, "Alice").peer(addr).start();
        alice.expect_peers(&["Dora"], SOON);
        dora.stop();
        alice.expect_peers(&[], SOON);
        let dora = Version1::start_at("Dora", addr, Habits::default());
        assert_ne!(dora.id(), id);
        alice.expect_peers(&["Dora"], 5 * Duration::from_secs(15));
        dora.expect_peer("Alice", SOON);
        each_hears(&mut alice, &dora, 0);
    });
}

#[test]
fn a_node_that_ends_is_forgotten_at_once() {
    Driver::each(|driver| {
        let dora = Version1::start("Dora");
        let mut alice = Launch::new(driver, "Alice").peer(dora.addr()).start();
        dora.expect_peer("Alice", SOON);
        alice.signal(rustix::process::Signal::TERM);
        dora.events().expect_one("oblivion", SOON, |event| matches!(event, Event::Forgot(_)));
        assert_eq!(alice.wait(SOON).code(), Some(0));
        dora.expect_only_version_1();
    });
}

#[test]
fn two_old_ones_and_two_new_ones_hear_each_other_once() {
    for drivers in [[Driver::Tokio, Driver::Smol], [Driver::Smol, Driver::Tokio]] {
        // A semicolon in a name is what the old ones split `PEERS` at.
        let names = ["Al;ice", "Bob", "Do;ra", "Emil"];
        let mut alice = Launch::new(drivers[0], names[0]).start();
        let mut bob = Launch::new(drivers[1], names[1]).peer(alice.addr()).start();
        let [dora, emil] = [names[2], names[3]].map(Version1::start);
        dora.dial(alice.addr());
        dora.expect_peer(names[0], SOON);
        emil.dial(dora.addr());
        let others = |own: usize| -> Vec<&str> { (0..4).filter(|n| *n != own).map(|n| names[n]).collect() };
        alice.expect_peers(&others(0), 2 * SOON);
        bob.expect_peers(&others(1), 2 * SOON);
        others(2).iter().for_each(|name| dora.expect_peer(name, SOON));
        others(3).iter().for_each(|name| emil.expect_peer(name, SOON));
        for round in ["first", "second"] {
            alice.say(round);
            bob.say(round);
            dora.say(round);
            emil.say(round);
            for name in others(0) {
                alice.expect_out(&format!("{name}: {round}"), SOON);
            }
            for name in others(1) {
                bob.expect_out(&format!("{name}: {round}"), SOON);
            }
            others(2).iter().for_each(|name| dora.expect_printed(&format!("{name}: {round}"), SOON));
            others(3).iter().for_each(|name| emil.expect_printed(&format!("{name}: {round}"), SOON));
        }
        let heard = [alice.out().len(), bob.out().len(), dora.printed().len(), emil.printed().len()];
        assert_eq!(heard, [6; 4]);
        // Its own kind does not escape what it splits at, so only what ours sent is looked at.
        let strange = |event: &Event| matches!(event, Event::Strange(_) | Event::Deaf(_));
        assert!(![dora.events(), emil.events()].iter().any(|events| events.all().iter().any(strange)));
    }
}

#[test]
fn a_semicolon_in_a_name_reaches_it_whole() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Al;ice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Al;ice"], SOON);
        let dora = Version1::start("Dora");
        dora.dial(bob.addr());
        dora.expect_peer("Al;ice", SOON);
        alice.expect_peers(&["Bob", "Dora"], SOON);
        dora.expect_only_version_1();
    });
}

#[test]
fn an_id_that_is_no_uuid_is_taken() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let dora = RawPeer::connect(alice.addr());
        dora.send(join_line_v1("abc123", "Dora"));
        alice.expect_peers(&["Dora"], SOON);
        assert_eq!(alice.peers()[0]["node_id"], "1cb6041b-28ae-5e76-9533-16d4b2f7ef00");
        dora.send("MSG|lost after JOIN, in the field\nMSG|hi\n");
        alice.expect_out("Dora: hi", SOON);
    });
}

#[test]
fn who_is_refused_is_logged_with_the_reason() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let thief = RawPeer::connect(alice.addr());
        thief.send(join_line_v1("00000000-0000-8000-8000-000000000001", "Thief"));
        let line = alice.expect_err(&["refused", "claims an id that is not its key's"], SOON);
        assert!(line.contains(&thief.local_addr().to_string()), "{line}");
        let unread = RawPeer::connect(alice.addr());
        unread.send("JOIN|{\"uname\":5}\n");
        let line = alice.expect_err(&["refused", "its JSON is wrong"], 2 * SOON);
        assert!(line.contains(&unread.local_addr().to_string()), "{line}");
    });
}
