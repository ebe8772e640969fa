use core::time::Duration;

use super::super::testing::{TestAuthor, TestLog};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_a_range_brings_holds_back_what_is_behind_it_and_nothing_else() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(9));
    log.pass(SECOND * 2);
    // Nobody holds 1 and 2.
    [3, 4].iter().for_each(|seq| log.bring(&anna.entry(*seq)));
    log.pass(SECOND * 2);
    assert_eq!(log.shown(), ["0"], "9 came 4 s ago");
    log.bring(&anna.entry(5));
    log.pass(SECOND);
    assert_eq!(log.shown(), ["-2", "3", "4", "5"], "the range has passed 1 and 2");
    assert_eq!(log.deadline(), Some(SECOND * 2));
    log.pass(SECOND * 2);
    assert_eq!(log.shown(), ["-3", "9"], "nothing came for 3 s");
}

#[test]
fn what_follows_a_range_is_shown_behind_it() {
    let (anna, mut log) = (TestAuthor::new(1), TestLog::new(|_| ()));
    log.take(&anna.entry(0));
    log.take(&anna.entry(9));
    for seq in 1..9 {
        log.pass(SECOND * 2);
        log.bring(&anna.entry(seq));
    }
    assert_eq!(log.shown(), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}
