//! The drivers' binaries, from standard input to standard output.

use std::io::{BufRead, BufReader, Read};
use std::thread;

use tests::journal::SOON;
use tests::process::{Launch, Output, Process};

use crate::{Kind, RECEIVERS, Run, Tally, text, timed};

const BLOCK: usize = 64 * 1024;

pub(crate) fn measure(kind: Kind, messages: usize) -> Run {
    let mut nodes: Vec<_> = Vec::new();
    for _ in 0..=RECEIVERS {
        let plaintext = if kind.sealed { "off" } else { "loopback" };
        let launch = Launch::new(kind.driver, "Node").output(Output::Unread);
        let mut launch = launch.args(["--plaintext", plaintext]);
        if let Some(first) = nodes.first() {
            launch = launch.peer(Process::addr(first));
        }
        nodes.push(launch.start());
    }
    for node in &nodes {
        node.expect_peers(&["Node"; RECEIVERS], SOON);
    }
    let pids: Vec<_> = nodes.iter().map(Process::id).collect();
    let (speaker, receivers) = nodes.split_first_mut().expect("there are some");
    let (tallies, wall, cpu) = timed(&pids, || {
        let readers: Vec<_> = receivers
            .iter_mut()
            .map(|node| {
                let output = node.take_output();
                thread::spawn(move || read(output, messages))
            })
            .collect();
        for numbers in (0..messages).collect::<Vec<_>>().chunks(BLOCK / 128) {
            let lines: String = numbers.iter().map(|number| text(*number) + "\n").collect();
            speaker.type_bytes(lines.as_bytes());
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let deliveries = tallies.iter().map(|tally| tally.heard).sum();
    let reordered = tallies.iter().map(|tally| tally.reordered).sum();
    Run { deliveries, wall, cpu, lost: messages * RECEIVERS - deliveries, reordered }
}

fn read(output: impl Read, messages: usize) -> Tally {
    let mut output = BufReader::with_capacity(BLOCK, output);
    let mut tally = Tally::default();
    let mut line = Vec::new();
    while !tally.is_over(messages) {
        line.clear();
        assert!(output.read_until(b'\n', &mut line).unwrap() > 0, "a node ended");
        tally.hear(line.strip_prefix(b"Node: ").expect("what others say"));
    }
    tally
}
