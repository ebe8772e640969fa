use super::*;
use crate::chat::testing::at;
use crate::model::{Class, Identity};

fn run(epoch: u64) -> RunId {
    let key = Identity::from_secret(&[1; 32]).key();
    RunId { key, room: None, class: Class::Kept, epoch }
}

/// A round over this many runs. The one with the highest epoch is the oldest.
fn round(runs: u64) -> Backfill {
    let mut backfill = Backfill::default();
    let below = |epoch| Below { run: run(epoch), at: runs - epoch, end: 10, missing: 10 };
    backfill.begin(at(0), 1, (0..runs).map(below).collect());
    backfill
}

fn step(progress: &Progress) -> Turn {
    let then = Progress { below: 0, steps: progress.steps + 1, ..progress.clone() };
    Turn::Begun(Step { then, missing: 10, last: 9, seen: (at(0), 10) })
}

#[test]
fn a_bounded_number_of_runs_that_are_held_up_is_looked_at_in_one_go() {
    let looks = u64::try_from(LOOKS).unwrap();
    let all = 3 * looks + 1;
    let mut backfill = round(all);
    for call in 0..3 {
        let mut seen = Vec::new();
        backfill.begin_steps(|run, _| {
            seen.push(run.epoch);
            Turn::HeldUp
        });
        assert!(seen.iter().copied().eq(call * looks..(call + 1) * looks), "it goes on behind them");
    }
    // The last one is not held up. Then the newest ones have their turn again.
    backfill.begin_steps(|_, progress| step(progress));
    assert!(backfill.under_way.keys().eq([&run(all - 1)]));
    backfill.begin_steps(|run, progress| if run.epoch == 0 { Turn::Over } else { step(progress) });
    let rest = u64::try_from(RUNS).unwrap();
    assert!(backfill.under_way.keys().cloned().eq((1..rest).chain([all - 1]).map(run)));
    assert_eq!(backfill.waiting.len(), 3 * LOOKS - RUNS);
}

#[test]
fn a_run_behind_a_few_that_are_held_up_has_its_turn_at_once() {
    let looks = u64::try_from(LOOKS).unwrap();
    let mut backfill = round(looks);
    for _ in 0..2 {
        backfill.begin_steps(|run, progress| match run.epoch + 1 == looks {
            true => step(progress),
            false => Turn::HeldUp,
        });
        assert!(backfill.under_way.keys().eq([&run(looks - 1)]));
        assert_eq!((backfill.waiting.len(), &backfill.looked_to), (LOOKS - 1, &None));
    }
}
