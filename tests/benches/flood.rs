//! What a node has left while fifty addresses of another machine send it ten thousand bad frames a second, and in peace.
//! It needs root, for network namespaces.

use std::env;
use std::time::Duration;

use tests::bench::table::Table;
use tests::flood::{Flood, LINKS, flood};
use tests::process::Driver;

fn main() {
    let seconds = if env::args().any(|arg| arg == "--bench") { 20 } else { 1 };
    let mut table = Table::new([
        "the victim alone",
        "frames/s offered",
        "cut",
        "CPU of a core",
        "memory, KiB",
        "median, ms",
        "90th, ms",
    ]);
    for driver in Driver::ALL {
        for links in [0, LINKS] {
            let Some(done) = flood(driver, links, Duration::from_secs(seconds)) else { return };
            table.row(row(driver, links, &done));
        }
    }
    table.print(
        "From a line said to the line heard, while others send junk, forged, replayed and endless frames",
    );
}

fn row(driver: Driver, links: u8, done: &Flood) -> [String; 7] {
    let name = if links == 0 { "in peace" } else { "flooded" };
    let millis = |part: f64| {
        let index = ((done.delays.len() - 1) as f64 * part) as usize;
        format!("{:.1}", done.delays[index].as_secs_f64() * 1e3)
    };
    [
        format!("{driver:?}, {name}"),
        format!("{:.0}", done.offered as f64 / done.time.as_secs_f64()),
        done.cuts.iter().map(|(_, cut)| cut).sum::<usize>().to_string(),
        format!("{:.0} %", 100.0 * done.cpu.as_secs_f64() / done.time.as_secs_f64()),
        done.grown.to_string(),
        millis(0.5),
        millis(0.9),
    ]
}
