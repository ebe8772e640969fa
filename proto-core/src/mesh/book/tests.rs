use alloc::collections::BTreeSet;
use core::time::Duration;

use chacha20::ChaCha8Rng;

use super::super::bans::Bans;
use super::super::testing::{at, generator, id};
use super::*;
use crate::model::{Past, Reach};

const SECOND: Duration = Duration::from_secs(1);
const ALL: Eligible = Eligible { keyless: true, keyed: true, from_inbound: true };

/// An address of a host of its own. Each network has 64 of them.
fn addr(n: u16) -> SocketAddr {
    SocketAddr::from(([10, (n >> 12) as u8, (n >> 6) as u8 & 63, n as u8 & 63], 8080))
}

/// An advertisement that names no node.
fn from(source: u8) -> Advertisement {
    Advertisement {
        source: id(source),
        source_dialed: false,
        teller: Some([10, 9, 9, source].into()),
        node_id: None,
    }
}

/// An advertisement of a node.
fn naming(source: u8, node: u8) -> Advertisement {
    Advertisement { node_id: Some(id(node)), ..from(source) }
}

/// The link with this node ended at once.
fn disconnect(node: u8, full: bool) -> Disconnect {
    Disconnect {
        node_id: id(node),
        ip: [10, 0, 0, 1].into(),
        redial_after: at(0),
        lasted: Duration::ZERO,
        full,
        taken: false,
        violation: false,
    }
}

fn random() -> ChaCha8Rng {
    generator(1)
}

/// A book of `limits.mesh.book` addresses, 64 from each of 16 sources. All of them are found where `found`, four of each node.
fn full_book(found: bool, limits: &Limits) -> AddressBook {
    let mut book = AddressBook::default();
    for n in 0..limits.mesh.book as u16 {
        assert!(book.learn(addr(n), from((n / 64) as u8), at(0), limits));
        if found {
            book.dialing(addr(n));
            book.reached(addr(n), id((n / 4) as u8), None, at(0));
        }
    }
    book
}

/// An address of a host that has many ports.
fn port(n: u16) -> SocketAddr {
    SocketAddr::from(([9, 9, 9, 9], 2000 + n))
}

#[test]
fn one_key_at_many_addresses_has_few_places_and_never_loses_that_of_its_link() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    for n in 0..1_100 {
        let now = at(u64::from(n));
        assert!(book.learn(port(n), from((n / 64) as u8), now, &limits), "{n}");
        book.dialing(port(n));
        book.reached(port(n), id(77), Some(port(3)), now);
        assert_eq!(book.len(), usize::from(n + 1).min(4));
        assert!(n < 3 || book.entries.contains_key(&port(3)), "that of its link");
    }
    assert!((1_097..1_100).all(|n| book.entries.contains_key(&port(n))), "those that were found last");
    // Whoever says that a key is at an address has not found it there.
    for n in 0..8 {
        assert!(book.learn(addr(n), naming(5, 77), at(0), &limits));
    }
    assert!(book.learn(addr(100), from(99), at(0), &limits));
    book.dialing(addr(100));
    book.reached(addr(100), id(77), None, at(2_000));
    assert_eq!(book.len(), 4 + 8);
    for n in 200..210 {
        book.recall(addr(n), Some(id(78)), Some(Past::at(at(0))), at(0));
    }
    assert_eq!(book.len(), 4 + 8 + 4, "nor has it more after a start");
    assert!(book.is_consistent());
}

#[test]
fn one_host_with_many_keys_makes_room_down_to_its_share() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    for n in 0..limits.mesh.book as u16 {
        assert!(book.learn(port(n), from((n / 64) as u8), at(0), &limits), "{n}");
        book.dialing(port(n));
        book.reached(port(n), id((n / 4) as u8), None, at(n.into()));
    }
    assert_eq!(book.len(), limits.mesh.book);
    assert!(!book.learn(port(5_000), from(99), at(0), &limits), "not for another address there");
    assert!(book.learn(addr(0), from(99), at(0), &limits));
    assert!(!book.entries.contains_key(&port(0)), "the one that was found longest ago");
    assert_eq!(book.len(), limits.mesh.book);
    // Told addresses do not push out all that were found at one host.
    for n in 1..2_000 {
        book.learn(addr(n), from((100 + n / 64) as u8), at(0), &limits);
    }
    let there = book.entries.keys().filter(|addr| addr.ip() == port(0).ip()).count();
    assert_eq!((book.len(), there), (limits.mesh.book, limits.mesh.book / 64));
    assert!(book.is_consistent());
}

#[test]
fn one_source_fills_its_share_only() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    let taken = (0..100).filter(|n| book.learn(addr(*n), from(1), at(0), &limits)).count();
    assert_eq!(taken, limits.mesh.book_per_source);
    assert!(book.learn(addr(200), from(2), at(0), &limits));
    assert!(book.is_consistent());
}

#[test]
fn a_full_book_forgets_an_address_that_failed_and_no_other() {
    let limits = Limits::default();
    let mut book = full_book(false, &limits);
    assert!(!book.learn(addr(5000), from(99), at(0), &limits));
    book.dialing(addr(7));
    book.failed(addr(7), false, 8, at(0), &mut random(), &limits);
    assert!(book.learn(addr(5000), from(99), at(0), &limits));
    assert!(!book.entries.contains_key(&addr(7)));
    assert_eq!(book.len(), limits.mesh.book);
    assert!(book.is_consistent());
}

#[test]
fn a_found_address_stays_until_dials_have_failed_for_a_day() {
    let limits = Limits::default();
    let mut book = full_book(true, &limits);
    book.disconnected(&disconnect(7 / 4, false), 8, at(0), &mut random(), &limits);
    for (later, forgotten) in
        [(limits.mesh.book_forget_after - SECOND, false), (limits.mesh.book_forget_after, true)]
    {
        let now = at(0) + later;
        book.dialing(addr(7));
        book.failed(addr(7), false, 8, now, &mut random(), &limits);
        assert_eq!(book.learn(addr(5000), from(99), now, &limits), forgotten, "{now}");
    }
    assert!(book.is_consistent());
}

#[test]
fn an_address_is_forgotten_after_failures_unless_it_was_found_or_there_is_no_link() {
    let limits = Limits::default();
    for (found, degree, forgotten) in [(false, 8, true), (true, 8, false), (false, 0, false)] {
        let mut book = AddressBook::default();
        book.learn(addr(1), from(1), at(0), &limits);
        if found {
            book.reached(addr(1), id(5), None, at(0));
            book.disconnected(&disconnect(5, false), degree, at(0), &mut random(), &limits);
        }
        for attempt in 0..limits.mesh.book_failures {
            assert_eq!(book.len(), 1, "{attempt}");
            book.dialing(addr(1));
            book.failed(addr(1), false, degree, at(0), &mut random(), &limits);
        }
        assert_eq!(book.len() == 0, forgotten, "{found} {degree}");
        assert!(book.is_consistent());
    }
}

#[test]
fn a_claim_stops_dials_unless_the_book_has_another_key_for_the_address() {
    let limits = Limits::default();
    let now = at(0);
    // What happened before, and whether the claim of node 5 then stops dials.
    type Before = fn(&mut AddressBook, &Limits);
    let cases: [(Before, bool); 5] = [
        (|_, _| {}, true),
        (|book, limits| assert!(book.learn(addr(1), from(1), at(0), limits)), true),
        (|book, limits| assert!(book.learn(addr(1), naming(1, 5), at(0), limits)), true),
        (|book, limits| assert!(book.learn(addr(1), naming(1, 6), at(0), limits)), false),
        (
            |book, limits| {
                book.learn(addr(1), naming(1, 5), at(0), limits);
                book.reached(addr(1), id(6), None, at(0));
                book.disconnected(&disconnect(6, true), 8, at(0), &mut random(), limits);
            },
            false,
        ),
    ];
    for (index, (before, stopped)) in cases.into_iter().enumerate() {
        let mut book = AddressBook::default();
        before(&mut book, &limits);
        book.claim(addr(1), id(5), None, &limits);
        assert_eq!(book.first_due(ALL).is_none(), stopped, "case {index}");
        assert!(book.is_consistent());
    }
    let mut book = AddressBook::default();
    book.claim(addr(1), id(5), None, &limits);
    assert!(!book.learn(addr(1), naming(5, 6), now, &limits), "its own word does not count");
    assert!(!book.learn(addr(1), naming(7, 5), now, &limits), "an advertisement that agrees changes nothing");
    assert!(book.learn(addr(1), naming(7, 6), now, &limits), "one that contradicts it does");
    assert_eq!(book.first_due(ALL), Some(now));
    book.dialing(addr(1));
    book.reached(addr(1), id(5), None, now);
    assert!(!book.learn(addr(1), naming(7, 6), now, &limits), "a dial has proven the claim");
    assert!(book.is_consistent());
}

#[test]
fn a_low_degree_shortens_waits_for_found_addresses_and_no_link_those_for_all() {
    let limits = Limits::default();
    let waits = [
        (0, limits.mesh.backoff_user, limits.mesh.backoff_user),
        (limits.mesh.degree_low - 1, limits.mesh.backoff_low, limits.mesh.backoff_max),
        (limits.mesh.degree_low, limits.mesh.backoff_max, limits.mesh.backoff_max),
    ];
    for (degree, found_wait, advertised_wait) in waits {
        let mut longest = [Duration::ZERO; 2];
        let mut random = random();
        for _ in 0..300 {
            let mut book = AddressBook::default();
            for n in 0..2 {
                book.learn(addr(n), from(1), at(0), &limits);
            }
            book.reached(addr(0), id(5), None, at(0));
            book.disconnected(&disconnect(5, false), limits.mesh.degree_low, at(0), &mut random, &limits);
            for _ in 0..12 {
                for n in 0..2 {
                    book.dialing(addr(n));
                    book.change(addr(n), |entry| entry.failures = 0);
                    book.failed(addr(n), false, limits.mesh.degree_low, at(0), &mut random, &limits);
                }
            }
            book.shorten_waits(degree, at(0), &mut random, &limits);
            for n in 0..2 {
                let State::Waiting { dial_at } = book.entries[&addr(n)].state else { panic!("it waits") };
                longest[usize::from(n)] = dial_at.since(at(0)).max(longest[usize::from(n)]);
            }
            assert!(book.is_consistent());
        }
        for (longest, wait) in longest.into_iter().zip([found_wait, advertised_wait]) {
            assert!(longest <= wait && longest > wait.mul_f64(0.9), "{degree}: {longest:?} of {wait:?}");
        }
    }
}

#[test]
fn half_of_the_picks_are_found_addresses_and_each_kind_is_picked_evenly() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    for n in 0..60 {
        book.learn(addr(n), from(1), at(0), &limits);
    }
    for n in 0..6 {
        book.reached(addr(n), id(n as u8), None, at(0));
        book.disconnected(&disconnect(n as u8, false), 8, at(0), &mut random(), &limits);
    }
    let mut counts = [0; 60];
    let (mut random, late) = (random(), at(10_000));
    for _ in 0..6000 {
        let picked = book.pick_due(late, ALL, &mut random).unwrap();
        counts[(0..60).position(|n| addr(n) == picked).unwrap()] += 1;
    }
    assert!(counts[..6].iter().all(|count| (400..600).contains(count)), "{counts:?}");
    assert!(counts[6..].iter().all(|count| (25..90).contains(count)), "{counts:?}");
    assert_eq!(book.pick_due(late, Eligible { keyed: false, ..ALL }, &mut random), None);
}

#[test]
fn keyless_addresses_take_turns_with_the_others() {
    let limits = Limits::default();
    let (mut book, mut random) = (AddressBook::default(), random());
    let keyless = NodeId::from_bytes([7; 16]);
    for n in 0..60 {
        let advertisement = Advertisement { node_id: Some(keyless), ..from(1) };
        assert!(book.learn(addr(n), advertisement, at(0), &limits));
    }
    assert!(book.learn(addr(100), naming(2, 3), at(0), &limits));
    let pick = |eligible, random: &mut ChaCha8Rng| book.pick_due(at(0), eligible, random).unwrap();
    let keyed = (0..1_000).filter(|_| pick(ALL, &mut random) == addr(100)).count();
    assert!((430..570).contains(&keyed), "{keyed}");
    assert_ne!(pick(Eligible { keyed: false, ..ALL }, &mut random), addr(100));
    assert_eq!(pick(Eligible { keyless: false, ..ALL }, &mut random), addr(100));
}

#[test]
fn an_address_that_failed_is_picked_in_one_turn_of_four_while_there_are_others() {
    let limits = Limits::default();
    let (mut book, mut random) = (AddressBook::default(), random());
    for n in 0..20 {
        assert!(book.learn(addr(n), from((n % 4) as u8), at(0), &limits));
    }
    // The first ten are found. Half of them, and half of the others, have failed since.
    for n in 0..10 {
        book.dialing(addr(n));
        book.reached(addr(n), id(n as u8), None, at(0));
        book.disconnected(&disconnect(n as u8, false), 0, at(0), &mut random, &limits);
    }
    for n in (0..5).chain(10..15) {
        book.dialing(addr(n));
        book.failed(addr(n), false, 0, at(0), &mut random, &limits);
    }
    let late = Instant::from_origin(limits.mesh.backoff_max);
    let picks: Vec<_> = (0..4_000).filter_map(|_| book.pick_due(late, ALL, &mut random)).collect();
    let share =
        |from: u16, to: u16| picks.iter().filter(|pick| (addr(from)..addr(to)).contains(pick)).count();
    // Of each half, about one pick in eight.
    assert!((400..600).contains(&(share(0, 5) + share(10, 15))), "{} {}", share(0, 5), share(10, 15));
    assert!((1_900..2_100).contains(&share(0, 10)), "{}", share(0, 10));
    for n in (5..10).chain(15..20) {
        book.dialing(addr(n));
    }
    assert!(book.pick_due(late, ALL, &mut random).is_some());
    // A node that answers "full" is there.
    book.failed(addr(5), true, 0, at(0), &mut random, &limits);
    let picks = (0..1_000).filter_map(|_| book.pick_due(late, ALL, &mut random));
    assert!(picks.filter(|pick| *pick == addr(5)).count() > 750);
}

#[test]
fn addresses_from_peers_that_this_node_dialed_are_picked_before_others() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    for n in 0..60 {
        book.learn(addr(n), from(1), at(0), &limits);
    }
    for n in [50, 70] {
        book.learn(addr(n), Advertisement { source_dialed: true, ..from(2) }, at(0), &limits);
    }
    let mut random = random();
    let mut picked = BTreeSet::new();
    for _ in 0..3 {
        let addr = book.pick_due(at(0), ALL, &mut random).unwrap();
        book.dialing(addr);
        picked.insert(addr);
    }
    assert!(picked.contains(&addr(50)) && picked.contains(&addr(70)) && picked.len() == 3, "{picked:?}");
    assert!(book.is_consistent());
}

#[test]
fn a_sample_has_found_addresses_that_have_not_failed_since() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    for n in 0..40 {
        book.learn(addr(n), from(1), at(0), &limits);
        if n < 30 {
            book.reached(addr(n), id(n as u8), None, at(0));
            let full = n < 20;
            book.disconnected(&disconnect(n as u8, full), 8, at(0), &mut random(), &limits);
        }
    }
    let mut random = random();
    let near = Reach::of([10, 9, 9, 9].into(), false);
    let sampled: BTreeSet<_> = (0..200).flat_map(|_| book.sample(5, near, &mut random)).collect();
    assert_eq!(sampled, (0..20).map(|n| (addr(n), id(n as u8))).collect());
    assert_eq!(book.sample(100, near, &mut random).len(), 20);
    assert_eq!(
        book.sample(100, Reach::Global, &mut random),
        [],
        "private addresses are told to nobody outside"
    );
    assert_eq!(book.fresh(), 30, "twenty found ones, and ten that were never dialed");
    assert_eq!(book.fresh_except(id(3)), 29);
}

#[test]
fn an_advertisement_makes_a_found_address_that_failed_due_sooner() {
    let limits = Limits::default();
    let mut book = AddressBook::default();
    book.learn(addr(1), naming(1, 5), at(0), &limits);
    book.reached(addr(1), id(5), None, at(0));
    book.disconnected(&disconnect(5, false), 8, at(0), &mut random(), &limits);
    for _ in 0..9 {
        book.dialing(addr(1));
        book.failed(addr(1), false, 8, at(0), &mut random(), &limits);
    }
    let soon = at(10);
    assert!(book.first_due(ALL) > Some(soon));
    assert!(book.learn(addr(1), naming(2, 5), soon, &limits));
    assert_eq!(book.first_due(ALL), Some(soon));
    assert!(!book.learn(addr(1), naming(3, 5), soon, &limits), "it is due already");
}

#[test]
fn an_address_whose_dial_was_put_off_is_not_fresh_and_makes_room_first() {
    let limits = Limits::default();
    let mut book = full_book(false, &limits);
    book.dialing(addr(7));
    book.failed(addr(7), false, 8, at(0), &mut random(), &limits);
    let fresh = book.fresh();
    book.put_off(addr(9), at(60_000));
    assert_eq!(book.fresh(), fresh - 1);
    assert!(book.learn(addr(5000), from(99), at(0), &limits));
    assert!(!book.entries.contains_key(&addr(9)) && book.entries.contains_key(&addr(7)));
    // Once it is dialed, or told by another peer, it is one like all others.
    for change in [
        |book: &mut AddressBook| book.dialing(addr(20)),
        |book: &mut AddressBook| {
            assert!(!book.retell(addr(20), from(0).teller, at(1)), "its own teller tells nothing new");
            assert!(book.retell(addr(20), from(9).teller, at(1)));
            assert_eq!(book.entries[&addr(20)].teller, from(9).teller);
            assert!(!book.retell(addr(20), from(8).teller, at(1)), "it is put off no longer");
        },
    ] {
        let fresh = book.fresh();
        book.put_off(addr(20), at(60_000));
        assert_eq!(book.fresh(), fresh - 1);
        change(&mut book);
        assert_eq!(book.fresh(), fresh);
        book.failed(addr(20), true, 8, at(0), &mut random(), &limits);
        assert!(book.is_consistent());
    }
}

#[test]
fn an_address_that_is_to_be_left_alone_for_long_is_not_explored_before() {
    let limits = Limits::default();
    let (mut book, mut random) = (AddressBook::default(), random());
    for n in 0..2 {
        book.learn(addr(n), from(1), at(0), &limits);
        book.dialing(addr(n));
    }
    // A node of another network, and one that is full or away.
    let until = at(0) + limits.mesh.foreign_pause;
    book.failed(addr(0), false, 8, until, &mut random, &limits);
    book.failed(addr(1), false, 8, at(0), &mut random, &limits);
    let mut explored = |now| {
        let picks = (0..50)
            .filter_map(|_| book.pick_uncertain(now, &Bans::default(), |_| true, &mut random, &limits));
        picks.collect::<BTreeSet<_>>()
    };
    assert_eq!(explored(at(0)), [addr(1)].into(), "it is, although it is not due");
    assert_eq!(explored(until), [addr(0), addr(1)].into());
}

#[test]
fn dials_are_charged_to_an_account_until_one_has_found_a_node() {
    let limits = Limits::default();
    let (mut book, mut random) = (AddressBook::default(), random());
    book.learn(addr(1), from(1), at(0), &limits);
    let account = Account::new(addr(1), from(1).teller);
    assert!(account.is_some());
    assert_eq!(book.account(addr(1)), account);
    let mut explore = |book: &AddressBook, pays: bool| {
        book.pick_uncertain(at(0), &Bans::default(), |_| pays, &mut random, &limits).is_some()
    };
    assert!(explore(&book, true) && !explore(&book, false));
    book.dialing(addr(1));
    book.reached(addr(1), id(5), None, at(0));
    book.disconnected(&disconnect(5, false), 8, at(0), &mut generator(2), &limits);
    assert_eq!(book.account(addr(1)), None);
    assert!(explore(&book, false), "it is free");
    book.reached(addr(1), id(5), None, at(0));
    let cut = Disconnect { violation: true, ..disconnect(5, false) };
    book.disconnected(&cut, 8, at(0), &mut generator(2), &limits);
    assert_eq!(book.account(addr(1)), account, "its node broke a rule");
}
