//! The table of limits in the specification is that of the code.

use std::path::Path;
use std::time::Duration;

use proto_core::{Limits, Value, seal};

/// The rows of the table between the markers of this name: what is in their first two columns.
fn table(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto-core/SPEC.md");
    let spec = std::fs::read_to_string(path).unwrap();
    let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->"));
    let (_, table) = spec.split_once(&begin).expect("the table begins");
    let (table, _) = table.split_once(&end).expect("the table ends");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned())).collect()
}

/// Each limit's name and what stands there as its default.
fn rows() -> Vec<(String, String)> {
    table("limits")
}

/// A default as the table writes it: `1,024 peers`, `250 ms`, `10 s`.
fn read(default: &str) -> Option<Value> {
    let (number, unit) = default.split_once(' ')?;
    let number: u64 = number.replace(',', "").parse().ok()?;
    Some(match unit {
        "s" => Value::Time(Duration::from_secs(number)),
        "ms" => Value::Time(Duration::from_millis(number)),
        _ => Value::Number(number),
    })
}

#[test]
fn every_limit_has_its_row_and_every_row_its_limit() {
    let names: Vec<_> = rows().into_iter().map(|(name, _)| name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut limits: Vec<_> = Limits::ALL.iter().map(|limit| limit.name.to_owned()).collect();
    limits.sort_unstable();
    assert_eq!(sorted, limits);
}

#[test]
fn every_row_has_the_default_of_its_limit() {
    let defaults = Limits::default();
    for (name, default) in rows() {
        let limit = Limits::ALL.iter().find(|limit| limit.name == name).expect("it has a limit");
        assert_eq!(read(&default), Some(limit.value(&defaults)), "{name}: {default}");
    }
}

#[test]
fn a_default_is_read_as_it_is_written() {
    assert_eq!(read("1,024 peers"), Some(Value::Number(1024)));
    assert_eq!(read("250 ms"), Some(Value::Time(Duration::from_millis(250))));
    assert_ne!(read("250 s"), read("250 ms"));
    assert_eq!(read("many"), None);
}

#[test]
fn the_sizes_of_a_sealed_connection_are_those_of_the_code() {
    let rows = table("sealed");
    let size = |what: &str| rows.iter().find(|(row, _)| row.contains(what)).and_then(|(_, size)| read(size));
    for (what, size_here) in [
        ("of a handshake", seal::MAX_HANDSHAKE),
        ("waits for the socket", seal::MAX_SEALED),
        ("for each byte of content", seal::MAX_IDLE_INPUT),
    ] {
        assert_eq!(size(what), Some(Value::Number(size_here as u64)), "{what}");
    }
}
