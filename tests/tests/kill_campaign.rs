//! Nodes that are killed at random moments lose nothing that they acknowledged.

use tests::kills::Campaign;

/// How many kills. `CHAT_KILLS` asks for another number: `.ci/run` for 100, a campaign for 1,000.
fn kills() -> usize {
    let wanted = std::env::var("CHAT_KILLS").ok().filter(|wanted| !wanted.is_empty());
    wanted.map_or(10, |wanted| wanted.parse().expect("CHAT_KILLS is a number"))
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let seed = std::env::var("CHAT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(13);
    let outcome = Campaign { kills: kills(), seed }.run();
    let faults = outcome.faults();
    let acknowledged = outcome.spoken.iter().filter(|spoken| spoken.answer != tests::kept::Answer::None);
    let slowest = outcome.starts.iter().max().expect("a node was killed");
    println!(
        "{} kills, seed {seed}: {} of {} messages acknowledged, the slowest start took {slowest:?}",
        outcome.starts.len(),
        acknowledged.count(),
        outcome.spoken.len(),
    );
    assert!(faults.is_empty(), "{} faults, the first: {:?}", faults.len(), &faults[..faults.len().min(20)]);
}
