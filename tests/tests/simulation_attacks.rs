//! Four sybils for each honest node, who drop what they should pass on; else they are nodes as they are shipped.

use clap::ValueEnum;
use proto_core::Limits;
use tests::sim::campaign::attack::{Kind, Measured, Options, measure};
use tests::sim::campaign::{Steady, each};

fn against(kind: Kind, limits: &Limits) -> Measured {
    let network = Steady::new(8, limits);
    measure(&Options { network, sybils: 32, kinds: Vec::new(), seed: 4, jobs: 1 }, kind)
}

#[test]
fn wherever_sybils_drop_all_every_honest_node_hears_every_message_in_six_seconds() {
    let kinds = Kind::value_variants();
    each(
        2,
        kinds,
        |kind| against(*kind, &Limits::default()),
        |kind, measured| {
            assert_eq!((measured.said, measured.in_time), (60, 60), "{kind:?}: {measured:?}");
        },
    );
}

#[test]
fn who_bears_with_neighbours_that_pass_over_reconciliations_is_cut_off_by_them() {
    let patient = Limits::default().with(|limits| limits.chat.syncs_ignored = usize::MAX);
    let measured = against(Kind::ColdBoot, &patient);
    assert!(measured.said == 60 && measured.never > 60, "{measured:?}");
}
