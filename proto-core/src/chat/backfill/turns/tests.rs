use super::*;
use crate::chat::testing::{at, secs};
use crate::model::{Class, Identity};

fn run_of(author: u8, epoch: u64) -> RunId {
    RunId::new(Identity::from_secret(&[author; 32]).key(), None, Class::Kept, epoch)
}

fn run(epoch: u64) -> RunId {
    run_of(1, epoch)
}

fn progress(at: u64) -> Progress {
    Progress { at, steps: 0, below: 10, end: 10, step: STEP, links: 0 }
}

/// This many runs of one key. The one with the highest epoch is the oldest.
fn round(runs: u64) -> Turns {
    let mut turns = Turns::default();
    (0..runs).for_each(|epoch| turns.wait(run(epoch), progress(runs - epoch)));
    turns
}

fn step_at(now: Instant, progress: &Progress) -> Turn {
    Turn::Begun(Step::new(now, progress, (0, 9)))
}

fn step(progress: &Progress) -> Turn {
    step_at(at(0), progress)
}

#[test]
fn a_bounded_number_of_runs_that_are_held_up_is_looked_at_in_one_go() {
    let looks = u64::try_from(LOOKS).unwrap();
    let all = 3 * looks + 1;
    let mut turns = round(all);
    for call in 0..3 {
        let mut seen = Vec::new();
        turns.begin(|run, _| {
            seen.push(run.epoch);
            Turn::HeldUp
        });
        assert!(seen.iter().copied().eq(call * looks..(call + 1) * looks), "it goes on behind them");
        assert!(turns.is_consistent());
    }
    // The last one is not held up. Then the newest ones have their turn again.
    turns.begin(|_, progress| step(progress));
    assert!(turns.under_way().eq([&run(all - 1)]) && turns.is_consistent());
    turns.begin(|run, progress| if run.epoch == 0 { Turn::Over } else { step(progress) });
    let rest = u64::try_from(RUNS).unwrap();
    assert!(turns.under_way().cloned().eq((1..rest).chain([all - 1]).map(run)));
    assert_eq!(turns.open().count() - turns.under_way.len(), 3 * LOOKS - RUNS);
    assert!(turns.is_consistent());
}

#[test]
fn a_run_behind_a_few_that_are_held_up_has_its_turn_at_once() {
    let looks = u64::try_from(LOOKS).unwrap();
    let mut turns = round(looks);
    for _ in 0..2 {
        turns.begin(|run, progress| match run.epoch + 1 == looks {
            true => step(progress),
            false => Turn::HeldUp,
        });
        assert!(turns.under_way().eq([&run(looks - 1)]) && turns.is_consistent());
        assert_eq!((turns.open().count() - turns.under_way.len(), turns.looked_at.len()), (LOOKS - 1, 0));
    }
}

/// Many newer runs of each of these keys, whose steps bring nothing, and a run of another key whose steps are over after a second.
/// Returns how many steps of that run began in so many seconds.
fn steps_beside(authors: core::ops::Range<u8>, runs: u64, seconds: u64) -> u64 {
    let other = run_of(0, 1);
    let mut turns = Turns::default();
    turns.wait(other.clone(), progress(1));
    for author in authors {
        (0..runs).for_each(|epoch| turns.wait(run_of(author, epoch), progress(1_000 + epoch)));
    }
    let mut steps = 0;
    for second in 0..seconds {
        let now = at(0) + secs(second);
        if let Some(step) = turns.end(&other) {
            turns.wait(other.clone(), step.over());
        }
        turns.take_places(now);
        turns.begin(|run, progress| {
            steps += u64::from(*run == other);
            step_at(now, progress)
        });
        assert!(turns.is_consistent() && turns.under_way.len() == RUNS);
    }
    steps
}

#[test]
fn one_key_with_many_runs_does_not_hold_up_the_run_of_another_key() {
    assert_eq!(steps_beside(1..2, 1_000, 100), 100, "it has a step in each second");
}

#[test]
fn a_run_waits_once_for_each_other_key_and_not_for_each_run_of_that() {
    // In half a minute, 16 steps of 40 keys begin.
    let steps = steps_beside(1..41, 100, 1_000);
    assert!(steps >= 10, "{steps}");
}

#[test]
fn a_key_that_comes_anew_is_not_before_those_that_wait() {
    let mut turns = Turns::default();
    (1..=20).for_each(|author| turns.wait(run_of(author, 1), progress(9)));
    let mut begun = Vec::new();
    for new in 100..120 {
        // Its runs are the newest ones.
        turns.wait(run_of(new, 1), progress(1_000));
        turns.begin(|run, progress| {
            begun.push(run.clone());
            step(progress)
        });
        let first = turns.under_way().next().cloned().unwrap();
        let step = turns.end(&first).unwrap();
        turns.wait(first, step.over());
    }
    assert!((1..=20).all(|author| begun.contains(&run_of(author, 1))), "{begun:?}");
}

#[test]
fn the_places_of_steps_that_bring_nothing_are_for_runs_that_wait() {
    let mut turns = round(17);
    turns.begin(|_, progress| step(progress));
    let first = |turns: &Turns| turns.under_way().next().cloned().unwrap();
    turns.came(&first(&turns), 9);
    // It is not among what is looked for.
    turns.came(&run(1), 10);
    assert_eq!((turns.next_end(), turns.take_places(at(29_999))), (Some(at(30_000)), Vec::new()));
    let over = turns.take_places(at(30_000));
    assert!(over.iter().eq(&(1..16).map(run).collect::<Vec<_>>()) && turns.under_way().eq([&run(0)]));
    turns.begin(|_, progress| step(progress));
    assert!(turns.under_way.contains_key(&run(16)), "the one that had no step comes first");
    assert!(turns.is_consistent());
}

#[test]
fn a_step_is_longer_after_one_that_brought_nothing_below_the_end() {
    let mut turns = round(2);
    turns.begin(|_, progress| step(progress));
    turns.came(&run(0), 10);
    turns.came(&run(1), 9);
    let [none, some] = [0, 1].map(|epoch| turns.end(&run(epoch)).unwrap().over());
    assert_eq!((none.step, some.step), (STEP * LONGER, STEP));
    assert_eq!((none.below, none.steps), (0, 1));
}
