//! Authors whose runs, epochs and gaps are as many as those of one author can be.

use proto_core::{Capacity, Entry, Room};

use crate::entries::{draft_of, signed, text};
use crate::node::{Node, Report, few_tips, full};
use crate::solo::EPOCH_MS;

const AUTHORS: usize = 8;
/// Rooms of each author, and epochs in each.
const LANES: usize = 16;
const EPOCHS: usize = 4;
/// Gaps of one epoch.
const GAPS: usize = 64;

/// One entry of each epoch, in rooms with the longest names.
fn epochs() -> Vec<Entry> {
    let short = [text(1)];
    let one = |n: usize| {
        let (author, epoch, lane) = (n % AUTHORS, n / AUTHORS % EPOCHS, n / AUTHORS / EPOCHS);
        let room = format!("{lane:0len$}", len = Room::MAX).parse().unwrap();
        signed(6_000 + author, 0, EPOCH_MS - 30_000 + n as u64, &short, |draft| {
            (draft.epoch, draft.room) = (epoch as u64, Some(&room));
        })
    };
    (0..AUTHORS * LANES * EPOCHS).map(one).collect()
}

pub(crate) fn runs(report: &mut Report) {
    let limits = few_tips().with(|limits| {
        limits.chat.authors_bytes = 240 << 10;
        limits.chat.log_bytes = 128 << 10;
        limits.chat.hold_back_most = limits.chat.hold_back;
    });
    let epochs = epochs();
    let gaps: Vec<_> =
        (0..=GAPS).map(|n| draft_of(6_100, 2 * n, EPOCH_MS - 20_000 + n as u64, &[text(1)], &[])).collect();
    let mut node = Node::new(limits.clone(), 1);
    let stores =
        [full(Capacity::LanesPerAuthor), full(Capacity::EpochsPerAuthor), full(Capacity::TipsPerAuthor)];
    node.fill("epochs", &stores, report, |node| epochs.iter().for_each(|entry| node.take(0, entry)));
    let stores = [full(Capacity::GapsPerEpoch), full(Capacity::AuthorsBytes)];
    node.fill("gaps", &stores, report, |node| {
        gaps.iter().for_each(|entry| node.take(0, entry));
        node.skip(limits.chat.hold_back);
    });
    node.check("what is known of authors", report);
}
