use super::*;
use crate::raw::RawPeer;

#[test]
fn three_find_each_other_through_one_and_talk() {
    let [dora, emil, fay] = ["Dora", "Emil", "Fay"].map(Version1::start);
    emil.dial(dora.addr());
    dora.expect_peer("Emil", SOON);
    fay.dial(dora.addr());
    for (one, others) in [(&dora, ["Emil", "Fay"]), (&emil, ["Dora", "Fay"]), (&fay, ["Dora", "Emil"])] {
        others.iter().for_each(|other| one.expect_peer(other, SOON));
    }
    dora.say("before the first");
    dora.say("hello");
    emil.expect_printed("Dora: hello", SOON);
    fay.expect_printed("Dora: hello", SOON);
    assert!(dora.printed().is_empty());
}

#[test]
fn speaks_first_and_loses_what_comes_right_after_join() {
    let dora = Version1::start("Dora");
    let peer = RawPeer::connect(dora.addr());
    peer.expect("JOIN|", SOON);
    peer.send("JOIN|{\"node_id\":\"7\",\"uname\":\"Raw\"}\nMSG|with it\n");
    dora.events().expect_one("the loss", SOON, |event| *event == Event::Lost("with it".into()));
    peer.send("MSG|later\n");
    dora.expect_printed("Raw: later", SOON);

    let other = RawPeer::connect(dora.addr());
    other.send("JOIN|{\"node_id\":\"8\",\"uname\":\"Other\"}\n");
    dora.expect_peer("Other", SOON);
    other.send("MSG|first line\n");
    dora.events().expect_one("the loss", SOON, |event| *event == Event::Lost("first line".into()));
}

#[test]
fn forgets_a_peer_with_either_connection_and_goes_deaf_on_what_is_not_utf8() {
    let dora = Version1::start("Dora");
    let [first, second] = [(); 2].map(|()| RawPeer::connect(dora.addr()));
    for peer in [&first, &second] {
        peer.expect("JOIN|", SOON);
        peer.send("JOIN|{\"node_id\":\"7\",\"uname\":\"Raw\"}\n");
        peer.expect("PEERS|", SOON);
    }
    dora.say("to the later");
    second.expect("MSG|to the later", SOON);
    drop(first);
    dora.events().expect_one("oblivion", SOON, |event| *event == Event::Forgot("7".into()));
    assert!(dora.peers().is_empty());
    second.send([b'M', 0xff, b'\n']);
    dora.events().expect_one("deafness", SOON, |event| matches!(event, Event::Deaf(_)));
    assert!(!second.ended(Duration::ZERO));
}

#[test]
fn a_silent_one_never_says_join() {
    let habits = Habits { silent: 1, ..Habits::default() };
    let dora = Version1::start_at("Dora", (Ipv4Addr::LOCALHOST, 0).into(), habits);
    let [first, second] = [(); 2].map(|()| {
        let peer = RawPeer::connect(dora.addr());
        peer.send("JOIN|{}\n");
        peer.expect("PEERS|", SOON);
        peer
    });
    second.expect("JOIN|", SOON);
    assert!(first.lines().look(|lines| lines.iter().all(|line| !line.starts_with("JOIN"))));
}
