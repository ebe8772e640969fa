//! Who is here, and how much neighbours and authors may send and are served.

use std::time::Duration;

use proto_core::wire::Frame;
use proto_core::{Capacity, ChatText, Draft, Entry, Input, Kept};
use tests::sim::hostile::{Keys, behind, of_body};

use crate::node::{Node, Report, few_tips, full, kept_solo};
use crate::solo::{EPOCH_MS, entry, keys};

/// So many neighbours come, one after the other.
const NEIGHBOURS: usize = 40;
const AUTHORS: usize = 320;

pub(crate) fn rates(report: &mut Report) {
    let limits = few_tips().with(|limits| {
        limits.conns.slots = NEIGHBOURS;
        limits.chat.authors = AUTHORS;
        limits.chat.known_keys = 128 * 512;
        limits.chat.log_entries = 20;
    });
    let all: Vec<_> = (0..AUTHORS).map(|n| entry(1_000 + n, 0, EPOCH_MS - 1_000 + n as u64)).collect();
    let mut node = Node::new(limits, 0);
    let stores = [
        full(Capacity::Rates),
        full(Capacity::NewAuthors),
        full(Capacity::KnownKeys),
        full(Capacity::ServingBudgets),
    ];
    node.fill("rates", &stores, report, |node| {
        for (n, some) in all.chunks(AUTHORS / NEIGHBOURS).enumerate() {
            node.solo.link_from(n, [9, 9, n as u8, 9]);
            node.solo.chats(n, some);
            node.solo.read(n);
            node.solo.frame(n, &Frame::Graft(some.iter().map(Entry::id).collect()));
            node.solo.read(n);
            node.solo.close(n);
            node.forget();
        }
    });
    node.check("all rates", report);
}

/// What a member says of itself.
fn presence(keys: &Keys, at: u64) -> Vec<u8> {
    let body = format!(r#"{{"uname":"{}","since":1,"every":86400}}"#, "n".repeat(64));
    let header = format!(
        r#"{{"class":"live","key":"{}","epoch":9,"at":{at},{}}}"#,
        keys.key(),
        of_body("presence", &body)
    );
    keys.signed_line(&header, &body)
}

/// Members, of whom three quarters have said something for longer than new authors have: others have a quarter at most.
pub(crate) fn members(report: &mut Report) {
    const MEMBERS: usize = 240;
    let limits = few_tips().with(|limits| {
        limits.chat.members = MEMBERS;
        limits.chat.author_new = Duration::from_secs(1);
        limits.chat.live_per_second = 1_000;
        limits.chat.live_burst = 10_000;
    });
    let (name, texts) = ("Eve".parse().unwrap(), [ChatText::new("x").unwrap()]);
    let said = |n: usize, before: Option<&Entry>, at: u64| {
        keys(1_000 + n).sign_entry(&Draft::new(1, behind(before), at, &name, &texts, [7; 16]))
    };
    let known = MEMBERS / 4 * 3;
    let first: Vec<_> = (0..known).map(|n| said(n, None, EPOCH_MS - 5_000)).collect();
    let second: Vec<_> = first.iter().enumerate().map(|(n, entry)| said(n, Some(entry), EPOCH_MS)).collect();
    let live: Vec<_> = (0..MEMBERS).map(|n| presence(&keys(1_000 + n), EPOCH_MS + 1)).collect();
    let mut node = Node::start(1, || kept_solo(limits, (false, true), Kept::default()));
    first.iter().for_each(|entry| node.take(0, entry));
    node.skip(Duration::from_secs(2));
    second.iter().for_each(|entry| node.take(0, entry));
    node.fill("members", &[full(Capacity::Members)], report, |node| {
        for line in &live {
            node.solo.input(Input::received(proto_core::ConnId(0), line));
            node.settle();
        }
    });
    node.check("who is here", report);
}
