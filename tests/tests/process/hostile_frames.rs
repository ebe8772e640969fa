//! Ten thousand bad frames a second from fifty addresses of another machine: those who talk notice nothing.
#![cfg(target_os = "linux")]

use std::time::Duration;

use tests::flood::{Bad, LINKS, flood};
use tests::process::Driver;

/// For how long the flood lasts.
const TIME: Duration = Duration::from_secs(5);
/// How much more memory the victim may take meanwhile, in KiB: what its log of entries may hold, and as much again for
/// queues and buffers.
const MEMORY: u64 = 64 * 1024;

#[test]
fn ten_thousand_bad_frames_a_second_harm_nobody_who_talks() {
    for driver in Driver::ALL {
        let Some(done) = flood(driver, LINKS, TIME) else { return };
        for bad in Bad::ALL {
            let cuts: Vec<_> = done.cuts.iter().filter(|(of, _)| *of == bad).map(|(_, cut)| *cut).collect();
            // Whoever says the same again is only slowed down.
            assert!(bad == Bad::Replayed || cuts.iter().sum::<usize>() > 0, "{bad:?}: {cuts:?}");
        }
        assert!(done.grown < MEMORY, "{} KiB", done.grown);
    }
}
