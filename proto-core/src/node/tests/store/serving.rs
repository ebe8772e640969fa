//! What has left the window is served from the store.

use super::*;

/// A node with these entries in its store and a small window, linked on connection 1.
fn with_history(store: &Store, window: usize) -> Solo {
    let mut solo = storing_with(store.kept(window), |limits| {
        (limits.chat.load_bytes, limits.chat.loads) = (1_500, 1);
    });
    keyed(&mut solo);
    solo.settle(1);
    solo
}

fn loads(actions: &[Action]) -> Vec<(LoadId, Wanted)> {
    let load = |action: &Action| match action {
        Action::Load { id, wanted, most_bytes: 1_500 } => Some((*id, wanted.clone())),
        _ => None,
    };
    actions.iter().filter_map(load).collect()
}

#[test]
fn what_has_left_the_window_is_served_from_the_store() {
    let mut store = heard(0..10);
    for window in [0, 4, 10] {
        let mut solo = with_history(&store, window);
        let mut actions = solo.receive(1, &range(2, 8, 7));
        let first = loads(&actions);
        assert_eq!(first.is_empty(), window == 10);
        if window == 4 {
            let run = run_of(&eve(), 1)[0].run().clone();
            assert_eq!(first[0].1, Wanted::Range { run, first: 2, last: 5 }, "the window has the rest");
        }
        actions.extend(solo.settle(1));
        let actions = store.carry_out(&mut solo, actions);
        assert_eq!(served(&actions), [2, 3, 4, 5, 6, 7, 8], "{window}");
        assert!(loads(&actions).len() != 1, "in pieces");
        assert!(sent(&actions).contains("HELD|"), "and it ends");
    }
}

#[test]
fn a_tip_that_has_left_the_window_is_served_by_its_id_and_nothing_else_is_looked_up() {
    let mut store = heard(0..3);
    let entries = run_of(&eve(), 3);
    let mut solo = with_history(&store, 0);
    let mut graft = |id: EntryId, lost: bool| {
        if lost {
            store.entries.clear();
        }
        let actions = solo.receive(1, &alloc::format!("GRAFT|{id}\n"));
        let loaded = loads(&actions).len();
        let actions = store.carry_out(&mut solo, actions);
        (loaded, served(&actions), sent(&actions).contains("LACK|"))
    };
    assert_eq!(graft(entries[2].id(), false), (1, Vec::from([2]), false));
    assert_eq!(graft(entries[1].id(), false), (0, Vec::new(), true), "it is no tip");
    assert_eq!(graft(EntryId::from_bytes([7; 32]), false), (0, Vec::new(), true));
    assert_eq!(graft(entries[2].id(), true), (1, Vec::new(), true), "the store lost it");
}

#[test]
fn the_store_is_read_for_few_neighbours_at_once() {
    let mut store = heard(0..10);
    let mut solo = with_history(&store, 0);
    keyed_as(&mut solo, 2, Identity::from_secret(&[20; 32]));
    solo.settle(2);
    let first = solo.receive(1, &range(0, 3, 1));
    assert_eq!(loads(&first).len(), 1);
    let second = solo.receive(2, &range(0, 3, 1));
    assert_eq!(loads(&second), [], "it has to wait");
    let mut actions = store.carry_out(&mut solo, first);
    actions.extend(solo.settle(2));
    let seqs = served(&actions);
    assert_eq!(seqs.len(), 8, "both are served: {seqs:?}");
}

#[test]
fn of_an_entry_whose_body_is_gone_the_header_is_served() {
    let store = heard(0..3);
    let mut solo = with_history(&store, 0);
    let actions = solo.receive(1, &range(1, 1, 7));
    let (id, _) = loads(&actions)[0].clone();
    let entry = &run_of(&eve(), 2)[1];
    let sealed = Sealed { body: "", ..entry.sealed() };
    let Ok(Opened::Gone(gone)) = sealed.open(NetworkId::OPEN) else { panic!("it has a body") };
    let mut actions = solo.input(Input::loaded(id, Vec::from([Loaded::Gone(Arc::new(gone))])));
    actions.extend(solo.settle(1));
    assert!(sent(&actions).contains(&alloc::format!("CHAT|{sealed}\n")), "{}", sent(&actions));
}
