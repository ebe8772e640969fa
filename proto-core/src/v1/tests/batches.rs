//! Entries of which only some texts are new: nodes bring the same lines in at different times, so in different batches.

use super::*;

/// What the machine shows of an entry with these texts of Victor's.
fn shown(v1: &mut V1, author: &Identity, texts: &[&str]) -> Vec<String> {
    let entry = entry(author, 0, Some(&victor()), texts, &[]);
    let repeated = v1.note_entry_at(START, &entry, &Limits::default());
    assert!(v1.is_consistent());
    repeated.others(entry.texts()).map(String::from).collect()
}

#[test]
fn lines_that_two_nodes_bring_in_in_different_batches_are_shown_once_each() {
    let all = identities(3);
    let mut v1 = V1::new(all[2].node_id());
    let (one, other) = (&all[0], &all[1]);
    assert_eq!(shown(&mut v1, one, &["a", "b"]), ["a", "b"]);
    assert_eq!(shown(&mut v1, other, &["a"]), [""; 0]);
    assert_eq!(shown(&mut v1, other, &["b", "c"]), ["c"]);
    assert_eq!(shown(&mut v1, one, &["c", "d"]), ["d"]);
    assert_eq!(shown(&mut v1, other, &["d"]), [""; 0]);
}

#[test]
fn a_node_cannot_hide_a_line_behind_a_known_one() {
    let all = identities(3);
    let mut v1 = V1::new(all[2].node_id());
    let (honest, hostile) = (&all[0], &all[1]);
    assert_eq!(shown(&mut v1, honest, &["known"]), ["known"]);
    assert_eq!(shown(&mut v1, hostile, &["known", "next"]), ["next"]);
    assert_eq!(shown(&mut v1, honest, &["next"]), [""; 0]);
}

#[test]
fn words_that_are_said_twice_are_shown_twice_in_any_batches() {
    let all = identities(3);
    let mut v1 = V1::new(all[2].node_id());
    let (one, other) = (&all[0], &all[1]);
    assert_eq!(shown(&mut v1, one, &["yes"]), ["yes"]);
    assert_eq!(shown(&mut v1, other, &["yes", "yes"]), ["yes"]);
    assert_eq!(shown(&mut v1, one, &["yes", "yes", "no"]), ["yes", "no"]);
    assert_eq!(shown(&mut v1, other, &["yes", "no"]), [""; 0]);
}

#[test]
fn new_lines_of_a_partly_known_entry_are_shown_at_once_and_not_again() {
    let all = identities(2);
    let limits = Limits::default();
    let mut v1 = relay_node(&all[1], &[&all[0]]);
    assert!(v1.note_line_at((START, 0), HOST, victor(), "one", &limits));
    assert_eq!(shown(&mut v1, &all[0], &["one", "two"]), ["two"]);
    assert!(!v1.note_line_at((START, 2), HOST, victor(), "two", &limits));
    assert_eq!(due(&mut v1, START + A_STEP), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// `turns`: who brings in how many of the next lines.
    #[test]
    fn each_line_is_shown_once_whatever_the_batches(
        said in proptest::collection::vec("[ab]", 1..20),
        turns in proptest::collection::vec((0_usize..3, 1_usize..5), 1..40),
    ) {
        let all = identities(4);
        let mut v1 = V1::new(all[3].node_id());
        let (mut brought_in, mut heard) = ([0; 3], Vec::new());
        for (author, many) in turns.into_iter().chain([(0, said.len())]) {
            let rest = &said[brought_in[author]..];
            let batch: Vec<_> = rest.iter().take(many).map(String::as_str).collect();
            brought_in[author] += batch.len();
            if !batch.is_empty() {
                heard.extend(shown(&mut v1, &all[author], &batch));
            }
        }
        prop_assert_eq!(heard, said);
    }
}
