//! The digests of many seeds: made, written to a file, read again and compared.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use clap::Parser;
use proto_core::Limits;

use super::each;
use super::networks::{Networks, range};
use crate::sim::run::{Attached, Options, Outcome, run};

/// How `sim` is started, up to its options.
const PROGRAM: &str = "cargo run --release -p tests --bin sim --";

/// Digests by seed, and the command that makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// What was run.
    pub made_by: MadeBy,
    /// One for each seed, in hexadecimal.
    pub by_seed: BTreeMap<u64, String>,
}

/// The options of the command.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
pub struct MadeBy {
    /// From the first to the one before the last.
    #[arg(long, value_parser = range)]
    pub seeds: Range<u64>,
    /// The networks.
    #[command(flatten)]
    pub networks: Networks,
    /// Limits other than the defaults, as `NAME=VALUE`.
    #[arg(long = "limit")]
    pub limits: Vec<String>,
}

impl fmt::Display for MadeBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, networks, limits } = self;
        write!(f, "{PROGRAM} run --digest --seeds {}..{} {networks}", seeds.start, seeds.end)?;
        limits.iter().try_for_each(|limit| write!(f, " --limit {limit}"))
    }
}

/// The file: the command as a comment, then `SEED DIGEST`, line by line.
impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# One SHA-256 for each seed, over all that its nodes do. Made by:")?;
        writeln!(f, "# {}", self.made_by)?;
        self.by_seed.iter().try_for_each(|(seed, digest)| writeln!(f, "{seed} {digest}"))
    }
}

impl Digests {
    /// Reads a file.
    pub fn read(text: &str) -> Result<Self, String> {
        let command = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(PROGRAM));
        let options = command.and_then(|command| command.trim_start().strip_prefix("run --digest "));
        let options = options.ok_or("no comment says which command made the digests")?;
        let made_by = MadeBy::try_parse_from(["sim"].into_iter().chain(options.split_whitespace()))
            .map_err(|error| error.to_string())?;
        let mut by_seed = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let pair = line.split_once(' ').and_then(|(seed, digest)| Some((seed.parse().ok()?, digest)));
            let (seed, digest) = pair.ok_or_else(|| format!("{line:?} is not a seed and its digest"))?;
            let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_digest || by_seed.insert(seed, digest.to_owned()).is_some() {
                return Err(format!("{line:?} is not a digest, or a second one of its seed"));
            }
        }
        Ok(Self { made_by, by_seed })
    }

    /// The seeds of `got` that have another digest here or none, each with what is wrong.
    pub fn differences(&self, got: &BTreeMap<u64, String>) -> BTreeMap<u64, String> {
        let differing = got.iter().filter_map(|(seed, got)| match self.by_seed.get(seed) {
            Some(expected) if expected == got => None,
            Some(expected) => Some((*seed, format!("seed {seed}: {got}, expected {expected}"))),
            None => Some((*seed, format!("seed {seed}: {got}, expected no such seed"))),
        });
        differing.collect()
    }
}

/// Runs these seeds. `tell` is told of each run that broke a rule, which still has a digest.
pub fn make(
    seeds: &[u64],
    networks: &Networks,
    limits: &Limits,
    jobs: usize,
    mut tell: impl FnMut(u64, &Outcome),
) -> BTreeMap<u64, String> {
    let options = Options { digest: true, ..networks.options(limits) };
    let mut digests = BTreeMap::new();
    each(
        jobs,
        seeds,
        |seed| run(*seed, &options, Attached::default()),
        |seed, outcome| {
            tell(*seed, &outcome);
            digests.insert(*seed, outcome.digest.unwrap_or_default());
        },
    );
    digests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests() -> Digests {
        let options = "sim --seeds 3..5 --nodes 3..4 --acts 9 --cramped --limit chat.seen=9".split(' ');
        let made_by = MadeBy::try_parse_from(options).unwrap();
        Digests { made_by, by_seed: BTreeMap::from([(3, "0a".repeat(32)), (4, "0b".repeat(32))]) }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let text = digests().to_string();
        assert!(text.contains(
            "run --digest --seeds 3..5 --nodes 3..4 --chaos 30..120 --acts 9 --cramped --limit chat.seen=9\n"
        ));
        assert_eq!(Digests::read(&text), Ok(digests()));
        let first = text.lines().nth(2).unwrap();
        for wrong in [format!("{text}{first}\n"), format!("{text}9 0a\n"), format!("{text}nine\n")] {
            Digests::read(&wrong).unwrap_err();
        }
        Digests::read(first).unwrap_err();
    }

    #[test]
    fn seeds_that_differ_are_named() {
        let expected = digests();
        assert!(expected.differences(&expected.by_seed).is_empty());
        let got = BTreeMap::from([(3, "0a".repeat(32)), (4, "0c".repeat(32)), (5, "0d".repeat(32))]);
        let differences = expected.differences(&got);
        assert_eq!(differences.keys().collect::<Vec<_>>(), [&4, &5]);
        assert!(differences[&4].starts_with("seed 4: 0c0c") && differences[&4].ends_with("0b0b"));
    }
}
