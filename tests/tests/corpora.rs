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
fn first_byte() {
    replay("first_byte", tests::fuzz::first_bytes);
}

#[test]
fn handshake() {
    let (mut complete, mut failed) = (0, 0);
    replay("handshake", |data| {
        let shaken = tests::fuzz::handshake(data);
        complete += usize::from(shaken.listener == tests::fuzz::End::Complete);
        failed += usize::from(matches!(shaken.listener, tests::fuzz::End::Failed(_)));
    });
    assert!(complete >= 3 && failed >= 5, "{complete} are complete, {failed} failed");
}

#[test]
fn sealed() {
    let mut opened = 0;
    replay("sealed", |data| opened += tests::fuzz::sealed(data));
    assert!(opened >= 25, "{opened} records were opened");
}

/// The scripts together lead a node everywhere: one that does not get past the greeting checks nothing of what follows.
#[test]
fn node() {
    let mut counts = tests::fuzz::Counts::new();
    replay("node", |data| {
        for (what, count) in tests::fuzz::node(data) {
            *counts.entry(what).or_default() += count;
        }
    });
    println!("{counts:?}");
    let never: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).map(|(what, _)| *what).collect();
    assert!(never.is_empty(), "no script makes a node do this: {never:?}");
    let seldom = [
        "CHAT",
        "IHAVE",
        "GRAFT",
        "LACK",
        "RANGE",
        "HELD",
        "TREE",
        "LINKS",
        "SYNC to begin",
        "SYNC to go on",
        "SYNC to answer",
    ];
    let members =
        ["members come", "members are renamed", "members are back", "members fall silent", "members leave"];
    let never = seldom
        .iter()
        .chain(&["SYNC to begin later", "PROOF"])
        .chain(&members)
        .find(|what| !counts.contains_key(*what));
    assert_eq!(never, None, "no script makes a node do this");
}

fn replay(target: &str, mut play: impl FnMut(&[u8])) {
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
