//! Nodes of different networks refuse each other (SPEC 3.13).

use super::*;
use crate::conns::sign_proof;
use crate::wire::ByeCode;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A node of the network `club`.
fn member(allow_v1: bool) -> Solo {
    let config = Config::builder("Me".parse().unwrap())
        .network(NetworkId::named("club"))
        .allow_v1(allow_v1)
        .build()
        .unwrap();
    let node = Node::new(config, Identity::from_secret(&[7; 32]), [7; 32], Instant::ORIGIN);
    Solo { node, now: Instant::ORIGIN }
}

/// The `JOIN` of a peer with a key that says this network.
fn join_of(network: Option<NetworkId>) -> String {
    let identity = Identity::from_secret(&[8; 32]);
    let (key, id) = (identity.key(), identity.node_id());
    let net = network.map(|network| alloc::format!(",\"net\":\"{network}\"")).unwrap_or_default();
    alloc::format!(
        "JOIN|{{\"node_id\":\"{id}\",\"uname\":\"Eve\",\"v\":2,\"nonce\":\"n\",\"key\":\"{key}\"{net}}}\n"
    )
}

/// What was sent, as text.
fn sent(actions: &[Action]) -> String {
    let bytes = actions.iter().filter_map(|action| match action {
        Action::SendFrame { bytes, .. } => Some(bytes.to_vec()),
        _ => None,
    });
    String::from_utf8(bytes.flatten().collect()).unwrap()
}

fn notices(actions: &[Action]) -> Vec<&Notice> {
    let notices = actions.iter().filter_map(|action| match action {
        Action::Notice(notice) => Some(notice),
        _ => None,
    });
    notices.collect()
}

fn dials(actions: &[(Instant, Action)]) -> usize {
    actions.iter().filter(|(_, action)| matches!(action, Action::Dial { .. })).count()
}

/// All that follows when a peer dials in and says this.
fn heard(solo: &mut Solo, conn: u64, join: &str) -> Vec<Action> {
    let mut actions = solo.accept(conn);
    actions.extend(solo.receive(conn, join));
    actions.extend(solo.settle(conn));
    actions
}

#[test]
fn join_names_every_network_but_the_open_one() {
    let said = |solo: &mut Solo| sent(&heard(solo, 1, "\n"));
    assert!(!said(&mut solo()).contains("\"net\""));
    let net = alloc::format!("\"net\":\"{}\"", NetworkId::named("club"));
    assert!(said(&mut member(false)).contains(&net));
}

#[test]
fn a_peer_of_another_network_is_refused_and_the_user_hears_of_each_address_once_an_hour() {
    let mut solo = member(false);
    for (conn, network) in [(1, None), (2, Some(NetworkId::OPEN)), (3, Some(NetworkId::named("clubs")))] {
        let actions = heard(&mut solo, conn, &join_of(network));
        assert!(sent(&actions).contains("BYE|network|\n"), "{actions:?}");
        assert!(!sent(&actions).contains("PROOF|"), "{actions:?}");
        let news = Notice::OtherNetwork { remote: remote() };
        let told = if conn == 1 { &[&news][..] } else { &[] };
        assert_eq!(notices(&actions), told);
    }
    assert_eq!((solo.node.peers().count(), solo.node.stats().foreign), (0, 3));
    solo.pass(HOUR);
    assert_eq!(notices(&heard(&mut solo, 4, &join_of(None))).len(), 1);
}

#[test]
fn a_flood_of_addresses_does_not_flood_the_user() {
    let mut solo = member(false);
    let mut told = 0;
    for n in 0..1_000_u64 {
        let host = [10, 0, (n >> 8) as u8, n as u8];
        let mut actions = solo.input(Input::accepted(ConnId(n), SocketAddr::from((host, 4_000))));
        actions.extend(solo.receive(n, &join_of(None)));
        told += notices(&actions).len();
        solo.input(Input::closed(ConnId(n)));
    }
    assert_eq!(told, 64);
}

#[test]
fn a_peer_of_the_same_network_is_asked_for_its_proof() {
    let mut solo = member(false);
    let actions = heard(&mut solo, 1, &join_of(Some(NetworkId::named("club"))));
    assert!(sent(&actions).contains("PROOF|"), "{actions:?}");
}

#[test]
fn a_proof_of_another_network_does_not_hold() {
    for (network, holds) in [(NetworkId::named("club"), true), (NetworkId::OPEN, false)] {
        let mut solo = member(false);
        heard(&mut solo, 1, &join_of(Some(NetworkId::named("club"))));
        let ours = solo.node.conns.nonce(ConnId(1)).unwrap();
        let theirs = Token::new("n").unwrap();
        let identity = Identity::from_secret(&[8; 32]);
        let signature = sign_proof(&identity, network, &theirs, &ours, solo.node.key());
        solo.receive(1, &alloc::format!("PROOF|{signature}\n"));
        assert_eq!(solo.node.peers().count() == 1, holds, "{network}");
    }
}

#[test]
fn peers_without_a_key_belong_to_the_open_network_unless_the_user_admits_them() {
    for (mut solo, admitted) in [(solo(), true), (member(false), false), (member(true), true)] {
        for (conn, nonce) in [(1, None), (2, Some("n"))] {
            let id = ALICE.replace('1', &alloc::format!("{conn}"));
            solo.peer(conn, &id, nonce);
        }
        assert_eq!(solo.node.peers().count(), if admitted { 2 } else { 0 });
    }
}

/// When the address is dialed again after a node of another network answered there, for an address of this kind.
fn next_dial(actions: &mut Vec<Action>, solo: &mut Solo) -> Instant {
    let Some(Action::Dial { dial, .. }) = actions.pop() else { panic!("no dial: {actions:?}") };
    solo.input(Input::connected(dial, ConnId(9)));
    solo.receive(9, &join_of(Some(NetworkId::named("clubs"))));
    solo.settle(9);
    solo.input(Input::closed(ConnId(9)));
    let start = solo.now;
    assert_eq!(dials(&solo.pass(HOUR - Duration::from_secs(1))), 0);
    // The peers that hold the node's attention are long gone, so that nothing else is dialed.
    let later = solo.pass(Duration::from_secs(30 * 60));
    let (at, _) = later.iter().find(|(_, action)| matches!(action, Action::Dial { .. })).expect("a dial");
    assert!(*at >= start + HOUR);
    *at
}

#[test]
fn an_address_of_another_network_is_not_dialed_for_an_hour() {
    // One that the user gave.
    let mut solo = member(false);
    solo.node.command(solo.now, Command::Connect("127.0.0.1:9000".parse().unwrap())).unwrap();
    let mut actions = solo.drain();
    next_dial(&mut actions, &mut solo);
    // One that a peer told of.
    let mut solo = super::solo();
    solo.peer(1, ALICE, Some("a"));
    let mut actions = solo.receive(1, "PEERS|{\"listen_addr\":\"127.0.0.1:9000\"}\n");
    next_dial(&mut actions, &mut solo);
}

#[test]
fn the_user_hears_that_a_given_address_belongs_to_another_network() {
    for says in [join_of(None), alloc::format!("{}BYE|network|\n", join_of(Some(NetworkId::named("club"))))] {
        let mut solo = member(false);
        solo.node.command(solo.now, Command::Connect("127.0.0.1:9000".parse().unwrap())).unwrap();
        let Some(Action::Dial { dial, .. }) = solo.drain().pop() else { panic!("no dial") };
        let mut actions = solo.input(Input::connected(dial, ConnId(1)));
        actions.extend(solo.receive(1, &says));
        actions.extend(solo.settle(1));
        actions.extend(solo.input(Input::closed(ConnId(1))));
        let target = "127.0.0.1:9000".parse().unwrap();
        assert_eq!(notices(&actions), [&Notice::TurnedAway { target, code: ByeCode::Network }], "{says}");
    }
}
