//! Four sybils for each honest node, who drop what they should pass on; else they are nodes as they are shipped. And
//! members that send nodes to a stranger's machine.

use clap::ValueEnum;
use std::time::Duration;

use proto_core::{Limits, MeshLimits};
use tests::sim::campaign::attack::{Kind, Measured, Options, measure};
use tests::sim::campaign::{Steady, each};
use tests::sim::check::{Checker, Rule};
use tests::sim::hostile::{Hostile, Trick};
use tests::sim::{Dice, HostId, NetConfig, World, address};

/// One in which the sybils have their way where nothing is done against them.
fn against(kind: Kind, limits: &Limits) -> Measured {
    let network = Steady::new(8, limits);
    measure(&Options { network, sybils: 32, kinds: Vec::new(), seed: 52, jobs: 1 }, kind)
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

/// The honest nodes among those that misdirect.
const HONEST: HostId = 3;

/// How long they do.
const ASTRAY: Duration = Duration::from_secs(200);

/// A network in which so many members misdirect the others, after that time.
fn misdirected(limits: &Limits, members: HostId) -> World {
    let (mut world, mut dice) = (World::new(NetConfig::default(), Dice::new(5)), Dice::new(6));
    world.probes.check = Some(Checker::default());
    for host in 0..HONEST {
        world.add_host(limits.clone());
        world.host_mut(host).targets = (0..host).map(address).collect();
        world.start(host, true);
        if let Some(checked) = world.probes.check.as_mut().and_then(|check| check.limits_mut(host)) {
            *checked = Limits::default();
        }
    }
    for _ in 0..members {
        let host = world.add_host(limits.clone());
        let (addr, targets) = (address(host), (0..HONEST).map(address).collect());
        let member = Hostile::new(Trick::Misdirect, addr, targets, world.epoch_ms(), dice.fork());
        world.start_actor(host, Box::new(member));
    }
    world.run_for(ASTRAY);
    world
}

#[test]
fn members_that_name_a_strangers_machine_make_no_node_dial_it_beyond_its_budgets() {
    let limits = Limits::default();
    let MeshLimits { host_dials, host_dial_every, net_dials, net_dial_every, .. } = limits.mesh;
    let most = |burst: u32, every: Duration| u64::from(burst) + ASTRAY.as_secs() / every.as_secs();
    // One machine, and two networks.
    let most = most(host_dials, host_dial_every) + 2 * most(net_dials, net_dial_every);
    let world = misdirected(&limits, 3);
    let check = world.probes.check.as_ref().unwrap();
    assert_eq!((check.breach(), check.end(&world)), (None, Ok(())));
    for host in 0..HONEST {
        let astray = check.dials_astray(host);
        assert!((u64::from(host_dials)..=most).contains(&astray), "host {host}: {astray} of {most}");
    }
}

#[test]
fn without_budgets_nodes_dial_a_strangers_machine_as_fast_as_they_dial() {
    let none = Limits::default().with(|limits| {
        (limits.mesh.host_dials, limits.mesh.net_dials, limits.mesh.teller_dials) =
            (u32::MAX, u32::MAX, u32::MAX);
    });
    let breach = misdirected(&none, 2).probes.check.unwrap().breach().cloned();
    assert!(breach.as_ref().is_some_and(|breach| breach.rule == Rule::DialBudget), "{breach:?}");
}
