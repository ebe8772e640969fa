//! The committed fuzz corpora, played again: what was once found, or written down, keeps working.

use std::fs;
use std::path::Path;

#[test]
fn frames() {
    replay("frames", tests::fuzz::frames);
}

#[test]
fn messages() {
    replay("messages", tests::fuzz::messages);
}

#[test]
fn node() {
    replay("node", tests::fuzz::node);
}

fn replay(target: &str, play: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{} files in {}", files.len(), folder.display());
    for file in files {
        // What a failing test prints says which file it was.
        println!("{}", file.display());
        play(&fs::read(&file).expect("a readable file"));
    }
}
