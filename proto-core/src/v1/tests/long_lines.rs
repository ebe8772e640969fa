//! Long lines take turns apart from short ones (SPEC 10.7.3, 10.7.6).

use super::*;

#[test]
fn a_word_does_not_wait_for_the_long_lines_of_a_crowd_and_these_are_brought_in_too() {
    let hosts: Vec<_> = (0..35).map(|n| (IpAddr::from([8, 8, n, 8]), 1)).collect();
    let (mut v1, speakers) = bridge(&hosts);
    let (limits, long) = (Limits::default(), "x".repeat(60_000));
    let second = |n: usize| START + Duration::from_secs(n as u64);
    let mut entries = Vec::new();
    for n in 0..60 {
        let mut say = |speaker: usize, text: &str| {
            let (host, who) = speakers[speaker].clone();
            v1.note_line_at((second(n), 0), host, who, text, &limits);
        };
        // At ten hosts long lines wait all the time, and at twenty others words do: each kind is more than the budget.
        (0..10).for_each(|speaker| say(speaker, &alloc::format!("{n} {long}")));
        (10..30).for_each(|speaker| say(speaker, &alloc::format!("{n}")));
        if n % 10 == 0 && n < 50 {
            say(30 + n / 10, "a word");
        }
        entries.extend(brought_in(&mut v1, second(n), millis(999)));
    }
    let speaker_of = |who| speakers.iter().position(|(_, speaker)| speaker.node_id == who);
    let brought: Vec<_> = entries.iter().filter_map(|(at, who, _)| Some((*at, speaker_of(*who)?))).collect();
    for word in 0..5 {
        let waited = brought.iter().find(|(_, n)| *n == 30 + word).map(|(at, _)| at.since(second(10 * word)));
        // Each of the others has a turn, and there is a long line before that and one among them.
        assert!(waited.is_some_and(|waited| waited <= millis(20 * 200 + 2 * 3_200)), "{waited:?}");
    }
    let long_lines = brought.iter().filter(|(_, n)| *n < 10).count();
    assert!(long_lines >= 60 / 13, "a quarter of the budget is theirs: {long_lines}");
}

#[test]
fn where_nothing_else_waits_long_lines_are_not_held_up() {
    let (mut v1, speakers) = bridge(&[(CROWD, 1), (HOST, 1)]);
    let (limits, long) = (Limits::default(), "x".repeat(60_000));
    for n in 0..8 {
        let (host, who) = speakers[n % 2].clone();
        v1.note_line_at((START, 0), host, who, &alloc::format!("{n} {long}"), &limits);
    }
    let entries = brought_in(&mut v1, START, Duration::from_secs(30));
    let order: Vec<_> = entries.iter().map(|(_, who, _)| *who == speakers[0].1.node_id).collect();
    assert_eq!(order, [true, false].repeat(4), "hosts take turns");
}
