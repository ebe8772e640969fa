use super::*;
use crate::chat::testing::at;
use crate::model::{Class, Identity};

#[test]
fn all_that_the_store_has_of_a_run_is_walked_once_in_a_round() {
    let run = RunId::new(Identity::from_secret(&[1; 32]).key(), None, Class::Kept, 1);
    let mut backfill = Backfill::default();
    let below = Below { run: run.clone(), at: 1, end: 100_000, missing: 50_000 };
    backfill.begin(at(0), 1, [below].to_vec());
    let mut step = |last: u64, missing: &dyn Fn(u64) -> u64| {
        let first = last.saturating_sub(STEP - 1);
        backfill.turns.begin(|_, progress| Turn::Begun(Step::new(at(0), progress, (first, last))));
        backfill.turns.came(&run, last);
        backfill.end_step(at(0), run.clone(), |_| false, |below| below > 0, missing);
        assert!(backfill.turns.is_consistent());
        backfill.absent.get(&run).map(|absent| absent.missing)
    };
    for last in (1..25).rev().map(|n| n * STEP) {
        assert_eq!(step(last, &|_| unreachable!("more is looked for")), None);
    }
    assert_eq!(step(0, &|end| end / 2), Some(50_000));
    assert!(backfill.is_idle());
}
