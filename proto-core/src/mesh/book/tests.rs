use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;
use crate::model::Identity;

const SECOND: Duration = Duration::from_secs(1);
const ALL: Room = Room { keyless: true, keyed: true, told: true };

fn addr(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 8080))
}

fn id(n: u8) -> NodeId {
    Identity::from_secret(&[n; 32]).node_id()
}

fn of(source: u8) -> Rumour {
    Rumour { source: id(source), dialed: false, node_id: None }
}

fn says(source: u8, node: u8) -> Rumour {
    Rumour { source: id(source), dialed: false, node_id: Some(id(node)) }
}

fn leaving(at: Instant, full: bool) -> Leaving {
    Leaving { at, again: at, lasted: Duration::ZERO, full, broke: false }
}

fn random() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// A book of `limits.mesh.book` addresses, 64 of each of 16 sources, all found where `found`.
fn full_book(found: bool, limits: &Limits) -> Book {
    let mut book = Book::default();
    for n in 0..limits.mesh.book as u16 {
        assert!(book.learn(addr(n), of((n / 64) as u8), Instant::ORIGIN, limits));
        if found {
            book.dialing(addr(n));
            book.reached(addr(n), id(77), Instant::ORIGIN);
        }
    }
    book
}

#[test]
fn one_source_gets_its_share_and_no_more() {
    let limits = Limits::default();
    let mut book = Book::default();
    let taken = (0..100).filter(|n| book.learn(addr(*n), of(1), Instant::ORIGIN, &limits)).count();
    assert_eq!(taken, limits.mesh.book_per_source);
    assert!(book.learn(addr(200), of(2), Instant::ORIGIN, &limits));
    assert!(book.is_consistent());
}

#[test]
fn a_full_book_gives_up_what_failed_and_nothing_else() {
    let limits = Limits::default();
    let mut book = full_book(false, &limits);
    assert!(!book.learn(addr(5000), of(99), Instant::ORIGIN, &limits));
    book.dialing(addr(7));
    book.failed(addr(7), false, 8, Instant::ORIGIN, &mut random(), &limits);
    assert!(book.learn(addr(5000), of(99), Instant::ORIGIN, &limits));
    assert!(!book.entries.contains_key(&addr(7)));
    assert_eq!(book.len(), limits.mesh.book);
    assert!(book.is_consistent());
}

#[test]
fn what_a_dial_found_is_given_up_for_no_rumour_until_it_failed_for_a_day() {
    let limits = Limits::default();
    let mut book = full_book(true, &limits);
    book.left(id(77), leaving(Instant::ORIGIN, false), 8, &mut random(), &limits);
    for (at, given_up) in [(limits.mesh.book_believed - SECOND, false), (limits.mesh.book_believed, true)]
        .map(|(at, given_up)| (Instant::from_origin(at), given_up))
    {
        book.dialing(addr(7));
        book.failed(addr(7), false, 8, at, &mut random(), &limits);
        assert_eq!(book.learn(addr(5000), of(99), at, &limits), given_up, "{at}");
    }
    assert!(book.is_consistent());
}

#[test]
fn an_address_where_nobody_ever_answered_is_dropped_and_one_where_somebody_did_is_not() {
    let limits = Limits::default();
    for (found, degree, dropped) in [(false, 8, true), (true, 8, false), (false, 0, false)] {
        let mut book = Book::default();
        book.learn(addr(1), of(1), Instant::ORIGIN, &limits);
        if found {
            book.reached(addr(1), id(5), Instant::ORIGIN);
            book.left(id(5), leaving(Instant::ORIGIN, false), degree, &mut random(), &limits);
        }
        for attempt in 0..limits.mesh.book_failures {
            assert_eq!(book.len(), 1, "{attempt}");
            book.dialing(addr(1));
            book.failed(addr(1), false, degree, Instant::ORIGIN, &mut random(), &limits);
        }
        assert_eq!(book.len() == 0, dropped, "{found} {degree}");
        assert!(book.is_consistent());
    }
}

#[test]
fn a_claim_stills_what_may_be_the_claimants_and_nothing_else() {
    let limits = Limits::default();
    let now = Instant::ORIGIN;
    // What the book had before, and whether the claim of node 5 stills it.
    type Before = fn(&mut Book, &Limits);
    let cases: [(Before, bool); 5] = [
        (|_, _| {}, true),
        (|book, limits| assert!(book.learn(addr(1), of(1), Instant::ORIGIN, limits)), true),
        (|book, limits| assert!(book.learn(addr(1), says(1, 5), Instant::ORIGIN, limits)), true),
        (|book, limits| assert!(book.learn(addr(1), says(1, 6), Instant::ORIGIN, limits)), false),
        (
            |book, limits| {
                book.learn(addr(1), says(1, 5), Instant::ORIGIN, limits);
                book.reached(addr(1), id(6), Instant::ORIGIN);
                book.left(id(6), leaving(Instant::ORIGIN, true), 8, &mut random(), limits);
            },
            false,
        ),
    ];
    for (index, (before, stilled)) in cases.into_iter().enumerate() {
        let mut book = Book::default();
        before(&mut book, &limits);
        book.claimed(addr(1), id(5), &limits);
        assert_eq!(book.first_due(ALL).is_none(), stilled, "case {index}");
        assert!(book.is_consistent());
    }
    let mut book = Book::default();
    book.claimed(addr(1), id(5), &limits);
    assert!(!book.learn(addr(1), says(5, 6), now, &limits), "its own word changes nothing");
    assert!(!book.learn(addr(1), says(7, 5), now, &limits), "nor does one that agrees");
    assert!(book.learn(addr(1), says(7, 6), now, &limits), "another's does");
    assert_eq!(book.first_due(ALL), Some(now));
    book.dialing(addr(1));
    book.reached(addr(1), id(5), now);
    assert!(!book.learn(addr(1), says(7, 6), now, &limits), "until a dial has shown it");
    assert!(book.is_consistent());
}

#[test]
fn few_links_shorten_the_wait_for_what_was_found_and_none_that_for_all() {
    let limits = Limits::default();
    let waits = [
        (0, limits.mesh.backoff_user, limits.mesh.backoff_user),
        (limits.mesh.degree_low - 1, limits.mesh.backoff_low, limits.mesh.backoff_max),
        (limits.mesh.degree_low, limits.mesh.backoff_max, limits.mesh.backoff_max),
    ];
    for (degree, found_wait, told_wait) in waits {
        let mut most = [Duration::ZERO; 2];
        let mut random = random();
        for _ in 0..300 {
            let mut book = Book::default();
            for n in 0..2 {
                book.learn(addr(n), of(1), Instant::ORIGIN, &limits);
            }
            book.reached(addr(0), id(5), Instant::ORIGIN);
            book.left(id(5), leaving(Instant::ORIGIN, false), limits.mesh.degree_low, &mut random, &limits);
            for _ in 0..12 {
                for n in 0..2 {
                    book.dialing(addr(n));
                    book.change(addr(n), |entry| entry.failed = 0);
                    book.failed(
                        addr(n),
                        false,
                        limits.mesh.degree_low,
                        Instant::ORIGIN,
                        &mut random,
                        &limits,
                    );
                }
            }
            book.hurry(degree, Instant::ORIGIN, &mut random, &limits);
            for n in 0..2 {
                let State::Waiting { next } = book.entries[&addr(n)].state else { panic!("it waits") };
                most[usize::from(n)] = next.since(Instant::ORIGIN).max(most[usize::from(n)]);
            }
            assert!(book.is_consistent());
        }
        for (most, wait) in most.into_iter().zip([found_wait, told_wait]) {
            assert!(most <= wait && most > wait.mul_f64(0.9), "{degree}: {most:?} of {wait:?}");
        }
    }
}

#[test]
fn what_is_dialed_is_chance_and_half_the_time_something_that_was_found() {
    let limits = Limits::default();
    let mut book = Book::default();
    for n in 0..60 {
        book.learn(addr(n), of(1), Instant::ORIGIN, &limits);
    }
    for n in 0..6 {
        book.reached(addr(n), id(5), Instant::ORIGIN);
    }
    book.left(id(5), leaving(Instant::ORIGIN, false), 8, &mut random(), &limits);
    let mut counts = [0; 60];
    let (mut random, late) = (random(), Instant::from_origin(10 * SECOND));
    for _ in 0..6000 {
        let picked = book.pick_due(late, ALL, &mut random).unwrap();
        counts[(0..60).position(|n| addr(n) == picked).unwrap()] += 1;
    }
    assert!(counts[..6].iter().all(|count| (400..600).contains(count)), "{counts:?}");
    assert!(counts[6..].iter().all(|count| (25..90).contains(count)), "{counts:?}");
    assert_eq!(book.pick_due(late, Room { keyed: false, ..ALL }, &mut random), None);
}

#[test]
fn addresses_of_peers_without_a_key_take_turns_with_the_others() {
    let limits = Limits::default();
    let (mut book, mut random) = (Book::default(), random());
    let old = NodeId::from_bytes([7; 16]);
    for n in 0..60 {
        let rumour = Rumour { node_id: Some(old), ..of(1) };
        assert!(book.learn(addr(n), rumour, Instant::ORIGIN, &limits));
    }
    assert!(book.learn(addr(100), says(2, 3), Instant::ORIGIN, &limits));
    let pick = |room, random: &mut ChaCha8Rng| book.pick_due(Instant::ORIGIN, room, random).unwrap();
    let keyed = (0..1_000).filter(|_| pick(ALL, &mut random) == addr(100)).count();
    assert!((430..570).contains(&keyed), "{keyed}");
    assert_ne!(pick(Room { keyed: false, ..ALL }, &mut random), addr(100));
    assert_eq!(pick(Room { keyless: false, ..ALL }, &mut random), addr(100));
}

#[test]
fn what_was_dialed_in_vain_gets_one_turn_in_four_while_there_is_something_else() {
    let limits = Limits::default();
    let (mut book, mut random) = (Book::default(), random());
    for n in 0..20 {
        assert!(book.learn(addr(n), of((n % 4) as u8), Instant::ORIGIN, &limits));
    }
    // Half of those that were found and half of those that were told have failed once more.
    for n in 0..10 {
        book.dialing(addr(n));
        book.reached(addr(n), id(n as u8), Instant::ORIGIN);
        book.left(id(n as u8), leaving(Instant::ORIGIN, false), 0, &mut random, &limits);
    }
    for n in (0..5).chain(10..15) {
        book.dialing(addr(n));
        book.failed(addr(n), false, 0, Instant::ORIGIN, &mut random, &limits);
    }
    let late = Instant::from_origin(limits.mesh.backoff_max);
    let picks: Vec<_> = (0..4_000).filter_map(|_| book.pick_due(late, ALL, &mut random)).collect();
    let share =
        |from: u16, to: u16| picks.iter().filter(|pick| (addr(from)..addr(to)).contains(pick)).count();
    // Of each kind one of eight, but for chance.
    assert!((400..600).contains(&(share(0, 5) + share(10, 15))), "{} {}", share(0, 5), share(10, 15));
    assert!((1_900..2_100).contains(&share(0, 10)), "{}", share(0, 10));
    for n in (5..10).chain(15..20) {
        book.dialing(addr(n));
    }
    assert!(book.pick_due(late, ALL, &mut random).is_some());
    // Who answers that it has no room is there.
    book.failed(addr(5), true, 0, Instant::ORIGIN, &mut random, &limits);
    let picks = (0..1_000).filter_map(|_| book.pick_due(late, ALL, &mut random));
    assert!(picks.filter(|pick| *pick == addr(5)).count() > 750);
}

#[test]
fn what_peers_tell_whom_we_chose_comes_before_what_others_tell() {
    let limits = Limits::default();
    let mut book = Book::default();
    for n in 0..60 {
        book.learn(addr(n), of(1), Instant::ORIGIN, &limits);
    }
    for n in [50, 70] {
        book.learn(addr(n), Rumour { dialed: true, ..of(2) }, Instant::ORIGIN, &limits);
    }
    let mut random = random();
    let mut picked = BTreeSet::new();
    for _ in 0..3 {
        let addr = book.pick_due(Instant::ORIGIN, ALL, &mut random).unwrap();
        book.dialing(addr);
        picked.insert(addr);
    }
    assert!(picked.contains(&addr(50)) && picked.contains(&addr(70)) && picked.len() == 3, "{picked:?}");
    assert!(book.is_consistent());
}

#[test]
fn what_is_told_was_found_and_has_not_failed_since() {
    let limits = Limits::default();
    let mut book = Book::default();
    for n in 0..40 {
        book.learn(addr(n), of(1), Instant::ORIGIN, &limits);
        if n < 30 {
            book.reached(addr(n), id(n as u8), Instant::ORIGIN);
            let full = n < 20;
            book.left(id(n as u8), leaving(Instant::ORIGIN, full), 8, &mut random(), &limits);
        }
    }
    let mut random = random();
    let told: BTreeSet<_> = (0..200).flat_map(|_| book.sample(5, &mut random)).collect();
    assert_eq!(told, (0..20).map(|n| (addr(n), id(n as u8))).collect());
    assert_eq!(book.sample(100, &mut random).len(), 20);
    assert_eq!(book.fresh(), 30, "twenty that were found, ten of which nothing is known");
    assert_eq!(book.fresh_but(id(3)), 29);
}

#[test]
fn what_is_told_again_of_a_found_one_that_failed_brings_it_forward() {
    let limits = Limits::default();
    let mut book = Book::default();
    book.learn(addr(1), says(1, 5), Instant::ORIGIN, &limits);
    book.reached(addr(1), id(5), Instant::ORIGIN);
    book.left(id(5), leaving(Instant::ORIGIN, false), 8, &mut random(), &limits);
    for _ in 0..9 {
        book.dialing(addr(1));
        book.failed(addr(1), false, 8, Instant::ORIGIN, &mut random(), &limits);
    }
    let soon = Instant::from_origin(SECOND / 100);
    assert!(book.first_due(ALL) > Some(soon));
    assert!(book.learn(addr(1), says(2, 5), soon, &limits));
    assert_eq!(book.first_due(ALL), Some(soon));
    assert!(!book.learn(addr(1), says(3, 5), soon, &limits), "once");
}
