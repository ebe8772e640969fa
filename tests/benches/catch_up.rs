//! What it costs to catch up: the bytes of all lines but those of the entries, both ways, on the core alone.

use std::time::Instant;

use tests::bench::catch_up::catch_up;
use tests::bench::is_smoke;
use tests::bench::table::Table;

const AUTHORS: usize = 50;

fn main() {
    let all = if is_smoke() { 5_000 } else { 1_000_000 };
    let mut table = Table::new(["entries", "missing", "came", "control bytes", "at most", "s"]);
    for (missing, most) in [(all / 10, 16 * 1024), (1, 2 * 1024)] {
        let begin = Instant::now();
        let cost = catch_up(all, missing, AUTHORS);
        assert!(cost.control <= most, "{} control bytes for {missing} of {all} entries", cost.control);
        table.row([
            all.to_string(),
            missing.to_string(),
            cost.entries.to_string(),
            cost.control.to_string(),
            most.to_string(),
            format!("{:.0}", begin.elapsed().as_secs_f64()),
        ]);
    }
    table.print("A node meets one that holds more; of 50 authors");
}
