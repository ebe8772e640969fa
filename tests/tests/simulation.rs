//! Networks under every fault, from seeds; and the checkers shown to bite.

use std::time::Duration;

use tests::sim::run::{Attached, Options, run};

fn small() -> Options {
    Options { nodes: 3..=12, chaos: (Duration::from_secs(20), Duration::from_secs(60)), ..Options::default() }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..4 {
        let options = Options { digest: true, ..small() };
        let [first, second] = [(); 2].map(|()| run(seed, &options, Attached::default()));
        assert_eq!(first.digest, second.digest);
        assert_eq!((first.events, first.shown, first.lasted), (second.events, second.shown, second.lasted));
        assert!(first.events > 100, "{first:?}");
    }
}

#[test]
fn seeds() {
    for seed in 0..60 {
        let start = std::time::Instant::now();
        let out = run(seed, &small(), Attached::default());
        println!("{seed} {:?} {out:?}", start.elapsed());
    }
}
