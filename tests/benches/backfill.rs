//! How long it takes to fill an empty store from a neighbour's, on the core alone, with stores in memory.

use std::time::Instant;

use tests::bench::backfill::backfill;
use tests::bench::is_smoke;
use tests::bench::table::Table;

fn main() {
    let all = if is_smoke() { 3_000 } else { 100_000 };
    let mut table = Table::new(["entries", "authors", "virtual s", "s"]);
    for authors in [1, 50] {
        let begin = Instant::now();
        let time = backfill(all, authors);
        table.row([
            all.to_string(),
            authors.to_string(),
            format!("{:.1}", time.as_secs_f64()),
            format!("{:.0}", begin.elapsed().as_secs_f64()),
        ]);
    }
    table.print("An empty store is filled from a neighbour's; with the time to sign them");
}
