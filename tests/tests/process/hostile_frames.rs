//! Ten thousand bad frames a second, or as many handshakes as there is time for, from fifty addresses of another machine:
//! those who talk notice nothing.
#![cfg(target_os = "linux")]

use std::time::Duration;

use proto_core::Limits;
use tests::flood::{Bad, flood};
use tests::process::Driver;

/// For how long the flood lasts.
const TIME: Duration = Duration::from_secs(5);
/// How much more memory the victim may take meanwhile, in KiB: what its log of entries may hold, and as much again for
/// queues and buffers.
const MEMORY: u64 = 64 * 1024;

#[test]
fn ten_thousand_bad_frames_a_second_harm_nobody_who_talks() {
    for driver in Driver::ALL {
        let Some(done) = flood(driver, &Bad::FRAMES, TIME) else { return };
        for bad in Bad::FRAMES {
            let cuts: Vec<_> = done.cuts.iter().filter(|(of, _)| *of == bad).map(|(_, cut)| *cut).collect();
            // Whoever says the same again is only slowed down.
            assert!(bad == Bad::Replayed || cuts.iter().sum::<usize>() > 0, "{bad:?}: {cuts:?}");
        }
        assert!(done.grown < MEMORY, "{} KiB", done.grown);
    }
}

#[test]
fn handshakes_from_fifty_addresses_keep_to_their_rate_and_keep_nobody_out() {
    let limits = Limits::default().conns;
    for driver in Driver::ALL {
        let Some(done) = flood(driver, &Bad::HANDSHAKES, TIME) else { return };
        let most = done.time.as_secs_f64() * f64::from(limits.handshakes_per_second);
        assert!(done.handshakes <= most as u64 + u64::from(limits.handshakes_burst) + 1, "{done:?}");
        // They take turns.
        assert!(done.cuts.iter().all(|(_, answered)| *answered > 0), "{done:?}");
        assert!(done.grown < MEMORY, "{} KiB", done.grown);
    }
}
