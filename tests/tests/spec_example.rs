//! The worked example of the specification is what two nodes say to each other.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use proto_core::{Action, ChatText, Command, Config, ConnId, Identity, Input, Instant, Node};

/// The one connection, which both ends call by this number.
const CONN: ConnId = ConnId(0);

/// How long a byte is on its way, in milliseconds.
const DELAY: u64 = 20;

/// The wall clock at the beginning.
const BEGIN: u64 = 1_767_227_400_000;

/// When A dials B, when B answers A, and when A leaves, in milliseconds.
const DIALS: u64 = 1_000;
const ANSWERS: u64 = 6_000;
const LEAVES: u64 = 14_500;

/// A line of the example is at most so long.
const WIDTH: usize = 118;

/// Two nodes, and what is on its way to them.
struct Example {
    nodes: [Node; 2],
    now: u64,
    /// By time and order: to whom, and what.
    coming: BTreeMap<(u64, usize), (usize, Coming)>,
    counter: usize,
    /// What was sent: when, by whom, and the lines.
    said: Vec<(u64, usize, String)>,
}

enum Coming {
    Input(Input<'static>),
    Bytes(Vec<u8>),
    Command(Command),
}

impl Example {
    fn new() -> Self {
        let node = |name: &str, secret, port, seed| {
            let addr = ([127, 0, 0, 1], port).into();
            let config = Config::new(name.parse().unwrap()).with_listen_addr(addr);
            Node::new(config, Identity::from_secret(&[secret; 32]), [seed; 32], Instant::ORIGIN)
        };
        let nodes = [node("Alice", 0x11, 8081, 1), node("Bob", 0x0b, 8080, 2)];
        Self { nodes, now: 0, coming: BTreeMap::new(), counter: 0, said: Vec::new() }
    }

    fn comes(&mut self, at: u64, to: usize, what: Coming) {
        self.counter += 1;
        self.coming.insert((at, self.counter), (to, what));
    }

    fn instant(&self) -> Instant {
        Instant::from_origin(Duration::from_millis(self.now))
    }

    /// Lets all happen that happens until this time.
    fn run_until(&mut self, end: u64) {
        loop {
            self.carry_out();
            let timers = self.nodes.iter().filter_map(Node::poll_timeout).map(|(at, _)| millis(at));
            let coming = self.coming.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(coming).min().filter(|next| *next <= end) else { return };
            self.now = self.now.max(next);
            let now = self.instant();
            while let Some(first) = self.coming.first_entry().filter(|first| first.key().0 <= self.now) {
                let (to, what) = first.remove();
                match what {
                    Coming::Input(input) => self.nodes[to].handle_input(now, input),
                    Coming::Bytes(bytes) => self.nodes[to].handle_input(now, Input::received(CONN, &bytes)),
                    Coming::Command(command) => _ = self.nodes[to].command(now, command).unwrap(),
                }
                self.carry_out();
            }
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|(at, _)| at <= now) {
                    node.handle_input(now, Input::Timeout);
                }
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some((me, action)) =
            self.nodes.iter_mut().enumerate().find_map(|(me, node)| Some((me, node.poll_action()?)))
        {
            let (other, now, instant) = (1 - me, self.now, self.instant());
            match action {
                Action::Dial { dial, addr, .. } => {
                    self.comes(now + DELAY, me, Coming::Input(Input::connected(dial, CONN)));
                    self.comes(now + DELAY, other, Coming::Input(Input::accepted(CONN, addr)));
                }
                Action::SendFrame { conn, bytes } => {
                    let lines = String::from_utf8(bytes.clone()).unwrap();
                    self.said.extend(lines.lines().map(|line| (now, me, line.to_owned())));
                    self.nodes[me].handle_input(instant, Input::flushed(conn));
                    self.comes(now + DELAY, other, Coming::Bytes(bytes));
                }
                _ => {}
            }
        }
    }

    /// What was said, as the specification writes it (RFC 8792).
    fn text(&self) -> String {
        let mut text = String::new();
        for (at, me, line) in &self.said {
            let mut rest = line.as_str();
            let mut begin = format!("{at:5} {} ", ["A", "B"][*me]);
            while begin.len() + rest.len() > WIDTH {
                let (head, tail) = rest.split_at(WIDTH - 1 - begin.len());
                let _ = writeln!(text, "{begin}{head}\\");
                (begin, rest) = (" ".repeat(8), tail);
            }
            let _ = writeln!(text, "{begin}{rest}");
        }
        text
    }
}

fn millis(at: Instant) -> u64 {
    at.since(Instant::ORIGIN).as_nanos().div_ceil(1_000_000).try_into().unwrap()
}

fn say(text: &str) -> Coming {
    Coming::Command(Command::Say(vec![ChatText::new(text.to_owned()).unwrap()]))
}

#[test]
fn the_worked_example_is_what_two_nodes_say() {
    let mut example = Example::new();
    for node in [0, 1] {
        example.comes(0, node, Coming::Input(Input::wall_clock(BEGIN)));
    }
    example.comes(0, 0, say("hello"));
    example.comes(DIALS, 0, Coming::Command(Command::Connect("127.0.0.1:8080".parse().unwrap())));
    example.comes(ANSWERS, 1, say("hi, Alice; how are you?"));
    example.comes(LEAVES, 0, Coming::Command(Command::Shutdown));
    example.run_until(LEAVES + 3 * DELAY);
    // The advert of the next sequence of the tree says nothing new.
    let adverts = |line: &str| line.starts_with("TREE|") && !line.contains(";180;");
    example.said.retain(|(_, _, line)| !adverts(line));
    let said = example.text();

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto-core/SPEC.md");
    let spec = std::fs::read_to_string(path).unwrap();
    let (_, section) = spec.split_once("\n## 20. A worked example\n").expect("the section begins");
    let (_, block) = section.split_once("```text\n").expect("the block begins");
    let (block, _) = block.split_once("```\n").expect("the block ends");
    assert!(block == said, "the specification has another example than this:\n{said}");
}
