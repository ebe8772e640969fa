//! Runs of many seeds, with a log from which a campaign goes on where it stopped.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto_core::Capacity;
use serde::{Deserialize, Serialize};

use super::{each, table};
use crate::sim::run::{Attached, Options, Outcome, run};

/// A campaign.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// Of each run.
    pub options: Options,
    /// The options as they are given on the command line, so that a failure says how to repeat it.
    pub arguments: String,
    /// How many threads.
    pub jobs: usize,
    /// Where each seed leaves a line, and where those are found that are done.
    pub log: Option<PathBuf>,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The table at the end.
    pub text: String,
    /// Seeds whose run broke a rule.
    pub broken: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// Of the program that ran it: what another one found says nothing of this one.
    build: u64,
    arguments: String,
    seed: u64,
    outcome: Outcome,
}

impl Campaign {
    /// Runs what is left to run; `tell` is told of each failure and of progress, line by line.
    pub fn run(&self, mut tell: impl FnMut(&str)) -> io::Result<Summary> {
        let build = build()?;
        let mut outcomes = self.read_log(build)?;
        if !outcomes.is_empty() {
            tell(&format!("{} seeds are in the log already", outcomes.len()));
        }
        let mut log = match &self.log {
            Some(path) => Some(open_log(path)?),
            None => None,
        };
        let work: Vec<_> = self.seeds.clone().filter(|seed| !outcomes.contains_key(seed)).collect();
        let (start, mut told, mut done) = (Instant::now(), Instant::now(), 0);
        let mut failed = None;
        each(
            self.jobs,
            &work,
            |seed| run(*seed, &self.options, Attached::default()),
            |seed, outcome| {
                done += 1;
                if let Some(breach) = &outcome.breach {
                    tell(&format!("seed {seed}: {breach}\n  {}", self.command(*seed)));
                }
                if let Some(log) = &mut log {
                    let arguments = self.arguments.clone();
                    let line = Line { build, arguments, seed: *seed, outcome: outcome.clone() };
                    failed = failed.take().or(append(log, &line).err());
                }
                outcomes.insert(*seed, outcome);
                let often = if io::stderr().is_terminal() { 1 } else { 30 };
                if told.elapsed() >= Duration::from_secs(often) {
                    told = Instant::now();
                    let left = start.elapsed().as_secs_f64() / f64::from(done)
                        * (work.len() as f64 - f64::from(done));
                    tell(&format!("{done} of {} seeds, {left:.0} s to go", work.len()));
                }
            },
        );
        match failed {
            Some(error) => Err(error),
            None => Ok(self.summarize(&outcomes)),
        }
    }

    /// How to run one seed again.
    pub fn command(&self, seed: u64) -> String {
        format!(
            "cargo run --release -p tests --bin sim -- run --seeds {seed}..{} {}",
            seed + 1,
            self.arguments
        )
    }

    fn read_log(&self, build: u64) -> io::Result<BTreeMap<u64, Outcome>> {
        let Some(path) = self.log.as_ref().filter(|path| path.exists()) else { return Ok(BTreeMap::new()) };
        let mut outcomes = BTreeMap::new();
        for line in BufReader::new(File::open(path)?).lines() {
            // The last line of a campaign that was killed may be half of one.
            if let Ok(line) = serde_json::from_str::<Line>(&line?)
                && (line.build, &line.arguments) == (build, &self.arguments)
                && self.seeds.contains(&line.seed)
            {
                outcomes.insert(line.seed, line.outcome);
            }
        }
        Ok(outcomes)
    }

    fn summarize(&self, outcomes: &BTreeMap<u64, Outcome>) -> Summary {
        let sum = |get: &dyn Fn(&Outcome) -> u64| outcomes.values().map(get).sum::<u64>();
        let mut rows: Vec<[String; 2]> = Vec::new();
        let mut row = |what: &str, value: String| rows.push([what.to_owned(), value]);
        row("seeds", outcomes.len().to_string());
        row("broken", outcomes.values().filter(|outcome| outcome.breach.is_some()).count().to_string());
        row("hosts", sum(&|outcome| outcome.hosts as u64).to_string());
        row("events", sum(&|outcome| outcome.events).to_string());
        row("messages shown", sum(&|outcome| outcome.shown).to_string());
        row("simulated hours", format!("{:.1}", sum(&|outcome| outcome.lasted) as f64 / 3.6e12));
        let mut settled: Vec<_> = outcomes.values().filter_map(|outcome| outcome.settled).collect();
        settled.sort_unstable();
        for share in [50, 99, 100] {
            if let Some(time) = settled.get(settled.len().saturating_sub(1) * share / 100) {
                row(&format!("calm until one view, {share} %"), format!("{:.0} s", *time as f64 / 1e9));
            }
        }
        let mut counts = BTreeMap::new();
        for outcome in outcomes.values() {
            for (fault, count) in &outcome.faults {
                *counts.entry(fault.to_string()).or_insert(0) += count;
            }
            for (what, count) in &outcome.tally {
                *counts.entry(what.clone()).or_insert(0) += count;
            }
        }
        for (what, count) in counts {
            row(&what, count.to_string());
        }
        for capacity in Capacity::ALL {
            let fill = outcomes.values().filter_map(|outcome| outcome.fills.get(&capacity)).max();
            row(&format!("{capacity:?}, fullest"), format!("{} %", fill.copied().unwrap_or(0)));
        }
        let rows: Vec<_> = rows.into_iter().map(Vec::from).collect();
        let mut text = table(&["", "in all"], &rows);
        let broken: Vec<_> =
            outcomes.iter().filter(|(_, outcome)| outcome.breach.is_some()).map(|(seed, _)| *seed).collect();
        for seed in &broken {
            if let Some(breach) = outcomes.get(seed).and_then(|outcome| outcome.breach.as_ref()) {
                text += &format!("\nseed {seed}: {breach}\n  {}\n", self.command(*seed));
            }
        }
        Summary { text, broken }
    }
}

/// A number that follows from the bytes of this program.
fn build() -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(std::env::current_exe()?)?);
    Ok(hasher.finish())
}

/// Opens a log to append to. What is left of a line that was being written when a campaign was killed is ended.
fn open_log(path: &Path) -> io::Result<File> {
    let whole =
        std::fs::read(path).ok().and_then(|text| text.last().copied()).is_none_or(|last| last == b'\n');
    let mut log = OpenOptions::new().create(true).append(true).open(path)?;
    if !whole {
        log.write_all(b"\n")?;
    }
    Ok(log)
}

fn append(log: &mut File, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    log.write_all(&text)
}
