//! Random scripts for the bodies of the fuzz targets `first_byte`, `handshake` and `sealed`: what was sealed comes out, and
//! nothing else.

use std::collections::BTreeMap;

use proto_core::Identity;
use proto_core::seal::Sealer;
use tests::fuzz;
use tests::sim::Dice;

/// How many handshakes, each with about a hundred records. `CHAT_HANDSHAKES` asks for another number: a campaign for
/// 100,000, in a release build.
fn handshakes() -> u64 {
    let wanted = std::env::var("CHAT_HANDSHAKES").ok().filter(|wanted| !wanted.is_empty());
    wanted.map_or(100, |wanted| wanted.parse().expect("CHAT_HANDSHAKES is a number"))
}

fn dice() -> Dice {
    let seed = std::env::var("CHAT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(12);
    println!("seed {seed}");
    Dice::new(seed)
}

#[test]
fn what_was_sealed_comes_out_and_nothing_else() {
    let (mut dice, handshakes) = (dice(), handshakes());
    let records: u64 = (0..handshakes).map(|_| fuzz::sealed(&conversation(&mut dice))).sum();
    println!("{handshakes} handshakes, {records} records");
    assert!(records >= 80 * handshakes, "{records} records");
}

/// A script: about a hundred records, often something foul among the last ones.
fn conversation(dice: &mut Dice) -> Vec<u8> {
    let mut script = Vec::new();
    for _ in 0..100 {
        seal(dice, &mut script);
        if dice.chance(0.3) {
            script.extend([b'c', digit(dice)]);
        }
    }
    script.extend(b"c0");
    for _ in 0..dice.below(4) {
        seal(dice, &mut script);
        match dice.below(6) {
            0 => script.extend([b'f', digit(dice), digit(dice)]),
            1 => script.extend([b't', digit(dice), digit(dice)]),
            2 => script.push(b'd'),
            3 => script.push(b'2'),
            4 => {
                script.push(b'r');
                text(dice, 40, &mut script);
            }
            _ => script.push(b'e'),
        }
        seal(dice, &mut script);
        script.extend([b'c', digit(dice)]);
    }
    script
}

fn seal(dice: &mut Dice, script: &mut Vec<u8>) {
    if dice.chance(0.005) {
        return script.extend([b'S', digit(dice)]);
    }
    script.push(b's');
    text(dice, 200, script);
}

/// A few bytes and the end of the line.
fn text(dice: &mut Dice, most: u64, script: &mut Vec<u8>) {
    let len = dice.below(most) + 1;
    script.extend((0..len).map(|_| dice.roll() as u8 | 0x20));
    script.push(b'\n');
}

fn digit(dice: &mut Dice) -> u8 {
    b'0' + dice.below(16) as u8
}

#[test]
fn a_beginning_that_is_almost_one_of_ours_proves_nothing() {
    let mut dice = dice();
    let stranger = Sealer::new(&Identity::from_secret(&[3; 32]));
    for _ in 0..handshakes() {
        let mut session = stranger.dial(None).expect("randomness");
        let mut wire = vec![dice.roll() as u8];
        session.write_to(&mut wire).expect("a vector takes all");
        for _ in 0..dice.below(4) {
            let at = 1 + dice.index(wire.len() - 1);
            match dice.below(4) {
                0 => wire.truncate(at + 1),
                1 => wire[at] = dice.roll() as u8,
                2 => wire[at] ^= 1 << dice.below(8),
                _ => {
                    let copy = wire[1 + dice.index(at)..=at].to_vec();
                    wire.extend(copy);
                }
            }
        }
        fuzz::first_bytes(&wire);
    }
}

#[test]
fn a_handshake_that_is_changed_on_its_way_proves_nothing_wherever_it_is() {
    let (mut dice, mut ends) = (dice(), BTreeMap::<_, u64>::new());
    for _ in 0..handshakes() {
        let shaken = fuzz::handshake(&changes(&mut dice));
        *ends.entry(format!("dialer {:?}, listener {:?}", shaken.dialer, shaken.listener)).or_default() += 1;
    }
    println!("{ends:#?}");
    for end in [
        "dialer Complete, listener Complete",
        "dialer Complete, listener Failed(NotOurs)",
        "dialer Failed(NotOurs), listener Failed(Refused)",
        "dialer Failed(Refused), listener Failed(NotOurs)",
        "dialer Complete, listener Waits",
        "dialer Waits, listener Waits",
    ] {
        assert!(ends.contains_key(end), "{end}: {ends:#?}");
    }
}

/// What becomes of the three flights of a handshake: in most cases one of them is changed.
fn changes(dice: &mut Dice) -> Vec<u8> {
    let (foul, mut script) = (dice.below(4), Vec::new());
    for flight in 0..3 {
        if dice.chance(0.3) {
            script.extend([b'c', digit(dice)]);
        }
        let edits = if flight == foul { dice.below(3) + 1 } else { 0 };
        for _ in 0..edits {
            let letter = b"fffbbitld2o"[dice.index(11)];
            script.push(letter);
            if b"fbitl".contains(&letter) {
                script.extend([(); 4].map(|()| digit(dice)));
            }
        }
        script.push(b'\n');
    }
    script
}
