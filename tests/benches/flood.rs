//! What a node has left while fifty addresses of another machine send it ten thousand bad frames a second, or as many
//! beginnings of handshakes as there is time for, and in peace. It needs root, for network namespaces.

use std::env;
use std::time::Duration;

use tests::bench::table::Table;
use tests::flood::{Bad, Flood, flood};
use tests::process::Driver;

fn main() {
    let seconds = if env::args().any(|arg| arg == "--bench") { 20 } else { 1 };
    let mut table = Table::new([
        "the victim alone",
        "offered/s",
        "cut",
        "handshakes/s",
        "CPU of a core",
        "memory, KiB",
        "median, ms",
        "90th, ms",
    ]);
    for driver in Driver::ALL {
        for (name, with) in
            [("in peace", &[][..]), ("bad frames", &Bad::FRAMES), ("handshakes", &Bad::HANDSHAKES)]
        {
            let Some(done) = flood(driver, with, Duration::from_secs(seconds)) else { return };
            table.row(row(driver, name, &done));
        }
    }
    table.print(
        "From a line said to the line heard, while others send junk, forged, replayed and endless frames, or handshakes",
    );
}

fn row(driver: Driver, name: &str, done: &Flood) -> [String; 8] {
    let millis = |part: f64| {
        let index = ((done.delays.len() - 1) as f64 * part) as usize;
        format!("{:.1}", done.delays[index].as_secs_f64() * 1e3)
    };
    [
        format!("{driver:?}, {name}"),
        format!("{:.0}", done.offered as f64 / done.time.as_secs_f64()),
        done.cuts
            .iter()
            .filter(|(bad, _)| *bad != Bad::HalfOpen)
            .map(|(_, cut)| cut)
            .sum::<usize>()
            .to_string(),
        format!("{:.0}", done.handshakes as f64 / done.time.as_secs_f64()),
        format!("{:.0} %", 100.0 * done.cpu.as_secs_f64() / done.time.as_secs_f64()),
        done.grown.to_string(),
        millis(0.5),
        millis(0.9),
    ]
}
