//! Nodes that are embedded by their drivers' libraries.

use std::sync::Arc;

use driver_common::{Event, Origin, Started, new_identity};
use driver_smol::{ChatText, Config, PeerTarget, Smol};
use tests::process::Driver;

use crate::child::{self, Role};
use crate::{Kind, RECEIVERS, Run, Tally, text, timed};

/// Texts that are said in one call.
const BATCH: usize = 512;

pub(crate) fn measure(kind: Kind, messages: usize) -> Run {
    let args = |addrs: &[String]| {
        let first = [kind.to_string(), messages.to_string()];
        first.into_iter().chain(addrs.iter().cloned()).collect::<Vec<_>>()
    };
    let (mut receivers, mut addrs) = (Vec::new(), Vec::new());
    for _ in 0..RECEIVERS {
        let mut receiver = Role::start("receiver", args(&addrs));
        addrs.push(receiver.hear());
        receivers.push(receiver);
    }
    let mut speaker = Role::start("speaker", args(&addrs));
    for node in receivers.iter_mut().chain([&mut speaker]) {
        assert_eq!(node.hear(), "linked");
    }
    let pids: Vec<_> = receivers.iter().chain([&speaker]).map(Role::pid).collect();
    let (heard, wall, cpu) = timed(&pids, || {
        speaker.tell("go");
        receivers.iter_mut().map(Role::hear).collect::<Vec<_>>()
    });
    let numbers = heard.iter().map(|line| line.split_once(' ').unwrap());
    let (deliveries, reordered) = numbers.fold((0, 0), |(all, reordered), (heard, late)| {
        (all + heard.parse::<usize>().unwrap(), reordered + late.parse::<usize>().unwrap())
    });
    Run { deliveries, wall, cpu, lost: messages * RECEIVERS - deliveries, reordered }
}

pub(crate) fn receive(kind: Kind, messages: usize, addrs: &[&str]) {
    on(kind, "Receiver", addrs, async move |node| {
        linked(&node).await;
        let mut tally = Tally::default();
        while !tally.is_over(messages) {
            for event in node.events.recv().await.unwrap() {
                match event {
                    Event::Message(message) => message.texts().for_each(|text| tally.hear(text.as_bytes())),
                    Event::Left { reason, .. } => panic!("{reason}"),
                    _ => {}
                }
            }
        }
        child::say(&format!("{} {}", tally.heard, tally.reordered));
        wait_for_bench().await;
    });
}

pub(crate) fn speak(kind: Kind, messages: usize, addrs: &[&str]) {
    on(kind, "Speaker", addrs, async move |node| {
        linked(&node).await;
        wait_for_bench().await;
        let events = node.events.clone();
        let numbers: Vec<_> = (0..messages).collect();
        for numbers in numbers.chunks(BATCH) {
            let texts = numbers.iter().map(|number| ChatText::new(text(*number)).unwrap()).collect();
            node.handle.say(texts, Origin::TERMINAL).await.unwrap();
            while events.try_recv().is_ok() {}
        }
        wait_for_bench().await;
    });
}

/// Waits until all the others are here.
pub(crate) async fn linked(node: &Started) {
    let mut here = 0;
    while here < RECEIVERS {
        let events = node.events.recv().await.unwrap();
        here += events.iter().filter(|event| matches!(event, Event::Joined(_))).count();
    }
    child::say("linked");
}

/// Waits for the bench, while the node goes on.
pub(crate) async fn wait_for_bench() {
    smol::unblock(child::wait).await;
}

pub(crate) fn on(kind: Kind, uname: &str, addrs: &[&str], run: impl AsyncFnOnce(Started)) {
    let config = Config::builder(uname.parse().unwrap()).plaintext(kind.plaintext()).build().unwrap();
    let (bind, identity) = ("127.0.0.1:0".parse().unwrap(), new_identity().unwrap());
    let peers: Vec<PeerTarget> = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
    let announce = |node: &Started| {
        if uname == "Receiver" {
            child::say(&node.local_addr.to_string());
        }
    };
    if kind.driver == Driver::Tokio {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = driver_tokio::start(bind, identity, config, peers).unwrap();
            announce(&node);
            run(node).await;
        });
    } else {
        let executor = Arc::new(smol::Executor::new());
        // As in `driver-smol`'s program.
        smol::future::block_on(executor.run(async {
            let smol = Smol::on(Arc::clone(&executor));
            let node = driver_smol::start(&smol, bind, identity, config, peers).unwrap();
            announce(&node);
            run(node).await;
        }));
    }
}
