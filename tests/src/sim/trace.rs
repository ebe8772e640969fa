//! What a node was told and did, written to a file and replayed against the state machine.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use proto_core::{Action, Command, CommandError, Config, Identity, Input, Instant, Kept, Node, Outcome};
use serde::{Deserialize, Serialize};

use super::Nanos;

/// A line of a trace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Record {
    /// A node is made, in the place of the one before.
    Start {
        config: Box<Config>,
        secret: [u8; 32],
        seed: [u8; 32],
        unix_ms: u64,
        #[serde(default)]
        kept: Box<Kept>,
    },
    /// It is told something.
    Input { at: Instant, input: Input<'static> },
    /// It is asked something; the ids of what was said, or why not.
    Command { at: Instant, command: Command, said: Result<Vec<String>, CommandError> },
    /// It does something.
    Action { at: Instant, action: Action },
}

/// Writes what a node is told and does.
pub struct Recorder {
    out: Box<dyn Write + Send>,
    /// Why nothing more is written.
    failed: Option<io::Error>,
}

impl Recorder {
    /// Writes there.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, failed: None }
    }

    /// Ends the trace; whether all of it was written.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    pub(super) fn started(
        &mut self,
        config: &Config,
        secret: [u8; 32],
        (seed, kept): ([u8; 32], Kept),
        unix_ms: u64,
    ) {
        let (config, kept) = (Box::new(config.clone()), Box::new(kept));
        self.write(&Record::Start { config, secret, seed, unix_ms, kept });
    }

    pub(super) fn input(&mut self, at: Instant, input: &Input<'_>) {
        self.write(&Record::Input { at, input: input.clone().into_owned() });
    }

    pub(super) fn command(&mut self, at: Instant, command: &Command, result: &Result<Outcome, CommandError>) {
        self.write(&Record::Command { at, command: command.clone(), said: said(result) });
    }

    pub(super) fn action(&mut self, at: Instant, action: &Action) {
        self.write(&Record::Action { at, action: action.clone() });
    }

    fn write(&mut self, record: &Record) {
        if self.failed.is_none() {
            let written = serde_json::to_writer(&mut self.out, record).map_err(io::Error::from);
            self.failed = written.and_then(|()| self.out.write_all(b"\n")).err();
        }
    }
}

fn said(result: &Result<Outcome, CommandError>) -> Result<Vec<String>, CommandError> {
    match result {
        Ok(Outcome::Said(entries)) => Ok(entries.iter().map(|entry| entry.id().to_string()).collect()),
        Ok(Outcome::Done) => Ok(Vec::new()),
        Ok(Outcome::Saying(id)) => Ok(vec![format!("saying {}", id.0)]),
        Ok(other) => panic!("unknown outcome: {other:?}"),
        Err(error) => Err(*error),
    }
}

/// What a replay that met no difference went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Nodes, one after the other.
    pub nodes: usize,
    /// Inputs and commands.
    pub inputs: usize,
    /// Actions, each the same as in the trace.
    pub actions: usize,
}

/// Why a replay ended before the trace did.
#[derive(Debug)]
pub enum ReplayError {
    /// The file cannot be read.
    Io(io::Error),
    /// A line is none of a trace.
    Line(usize, String),
    /// What the node does differs from the trace at this line.
    Differs {
        /// The line's number, from 1.
        line: usize,
        /// What the trace has.
        expected: String,
        /// What the node did.
        got: String,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the trace cannot be read: {error}"),
            Self::Line(line, why) => write!(f, "line {line} is not of a trace: {why}"),
            Self::Differs { line, expected, got } => {
                write!(f, "line {line} differs\n  the trace: {expected}\n  the node:  {got}")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

/// Tells a node what a trace says that it was told, and compares what it does, action by action.
pub fn replay(trace: impl BufRead) -> Result<Replayed, ReplayError> {
    let mut replay = Replay::default();
    for (index, text) in trace.lines().enumerate() {
        let line = index + 1;
        let text = text.map_err(ReplayError::Io)?;
        let record =
            serde_json::from_str(&text).map_err(|error| ReplayError::Line(line, error.to_string()))?;
        replay.record(line, record, &text)?;
    }
    replay.nothing_more(replay.line + 1)?;
    Ok(replay.done)
}

#[derive(Default)]
struct Replay {
    node: Option<Node>,
    line: usize,
    /// What the node has done since it was told something, and the trace has not shown yet.
    actions: std::collections::VecDeque<Action>,
    done: Replayed,
}

impl Replay {
    fn record(&mut self, line: usize, record: Record, text: &str) -> Result<(), ReplayError> {
        self.line = line;
        let differs = |expected: &str, got: String| {
            Err(ReplayError::Differs { line, expected: expected.to_owned(), got })
        };
        if let Record::Action { action, .. } = record {
            self.done.actions += 1;
            return match self.actions.pop_front() {
                Some(got) if got == action => Ok(()),
                got => differs(&format!("{action:?}"), format!("{got:?}")),
            };
        }
        self.nothing_more(line)?;
        match record {
            Record::Start { config, secret, seed, unix_ms, kept } => {
                let identity = Identity::from_secret(&secret);
                let mut node = Node::restore(*config, identity, seed, Instant::ORIGIN, *kept);
                node.handle_input(Instant::ORIGIN, Input::wall_clock(unix_ms));
                self.node = Some(node);
                self.done.nodes += 1;
            }
            Record::Input { at, input } => {
                self.node(line)?.handle_input(at, input);
                self.done.inputs += 1;
            }
            Record::Command { at, command, said: expected } => {
                let got = said(&self.node(line)?.command(at, command));
                self.done.inputs += 1;
                if got != expected {
                    return differs(text, format!("{got:?}"));
                }
            }
            Record::Action { .. } => {}
        }
        let node = self.node(line)?;
        let actions: Vec<_> = std::iter::from_fn(|| node.poll_action()).collect();
        self.actions.extend(actions);
        Ok(())
    }

    fn node(&mut self, line: usize) -> Result<&mut Node, ReplayError> {
        self.node.as_mut().ok_or_else(|| ReplayError::Line(line, "no node was started".to_owned()))
    }

    fn nothing_more(&self, line: usize) -> Result<(), ReplayError> {
        match self.actions.front() {
            None => Ok(()),
            Some(action) => Err(ReplayError::Differs {
                line,
                expected: "no more actions here".to_owned(),
                got: format!("{action:?}"),
            }),
        }
    }
}

/// A time in the trace's own words, for those who look for a line.
pub fn moment(at: Nanos) -> String {
    format!("{:.3}s", Duration::from_nanos(at).as_secs_f64())
}
