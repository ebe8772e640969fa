//! Runs the simulator: seeds by the thousand, measurements, traces.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use proto_core::Limits;
use tests::sim::HostId;
use tests::sim::campaign::attack::{self, Kind};
use tests::sim::campaign::digests::{self, Digests, MadeBy};
use tests::sim::campaign::networks::{Networks, inclusive, range};
use tests::sim::campaign::seeds::Campaign;
use tests::sim::campaign::{Steady, kill, speed, spread};
use tests::sim::run::{Attached, run};
use tests::sim::trace::{Recorder, replay};

/// Simulates whole networks.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// On so many threads; as many as there are cores unless told otherwise.
    #[arg(long, global = true)]
    jobs: Option<usize>,
    /// Another limit than the default, by its name: a number, or seconds.
    #[arg(long = "limit", global = true, value_name = "NAME=VALUE")]
    limits: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Networks under every fault, from seeds; exits with 1 if one breaks a rule.
    Run(RunArgs),
    /// Replays what a node was told, from a trace, and compares what it does.
    Replay {
        /// The trace.
        file: PathBuf,
    },
    /// How often each message arrives at a node, and over how many links.
    Spread {
        /// How many nodes.
        #[arg(long, default_value_t = 1_000)]
        nodes: u32,
        /// Addresses that each node's user gives.
        #[arg(long, default_value_t = 3)]
        contacts: u32,
        /// Who speaks.
        #[arg(long, value_enum, default_value_t = Senders::Random)]
        senders: Senders,
        /// How many messages.
        #[arg(long, default_value_t = 30)]
        rounds: u32,
        /// How many networks.
        #[arg(long, default_value_t = 4)]
        seeds: u64,
    },
    /// What is left when most nodes are killed at once.
    Kill {
        /// How many nodes.
        #[arg(long, default_value_t = 10_000)]
        nodes: u32,
        /// Of a hundred, from the first to the last in steps of ten, and the last.
        #[arg(long, default_value = "10..95", value_parser = inclusive)]
        share: RangeInclusive<u32>,
        /// Of the network.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Many sybils against some honest nodes.
    Attack {
        /// Honest nodes.
        #[arg(long, default_value_t = 200)]
        honest: u32,
        /// Sybils.
        #[arg(long, default_value_t = 800)]
        sybils: u32,
        /// What they do; everything unless told otherwise.
        #[arg(long, value_enum)]
        kind: Vec<Kind>,
        /// Of the network.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// How fast the simulator is.
    Speed {
        /// How many nodes.
        #[arg(long, default_value_t = 1_000)]
        nodes: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Senders {
    /// Always the same.
    One,
    /// Somebody else each time.
    Random,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// From the first to the one before the last.
    #[arg(long, default_value = "0..1000", value_parser = range)]
    seeds: Range<u64>,
    #[command(flatten)]
    networks: Networks,
    /// Each seed leaves a line there; those that are there are not run again.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Writes there what a node of the first seed is told and does.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Which node that is.
    #[arg(long, default_value_t = 0)]
    host: HostId,
    /// Prints the SHA-256 of all that nodes do, for each seed: `SEED DIGEST`.
    #[arg(long, conflicts_with_all = ["log", "trace"])]
    digest: bool,
    /// Compares the digests with those of this file; exits with 1 if a seed differs.
    #[arg(long, requires = "digest", value_name = "FILE")]
    expect: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let jobs = cli.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    match limits(&cli.limits).and_then(|limits| carry_out(cli.command, &limits, jobs)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::from(2)
        }
    }
}

/// The defaults, but for these.
fn limits(others: &[String]) -> io::Result<Changes> {
    let mut limits = serde_json::to_value(Limits::default())?;
    for other in others {
        let (name, value) = other.split_once('=').unwrap_or((other, ""));
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{other:?} is no limit"));
        let limit = limits.pointer_mut(&format!("/{}", name.replace('.', "/"))).ok_or_else(wrong)?;
        *limit = if limit.is_object() {
            let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            serde_json::to_value(seconds.ok_or_else(wrong)?)?
        } else {
            serde_json::from_str(value)?
        };
    }
    let limits: Limits = serde_json::from_value(limits)?;
    limits.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Changes { limits, given: others.to_vec() })
}

/// Limits that are not the defaults, and how they were given.
struct Changes {
    limits: Limits,
    given: Vec<String>,
}

impl Changes {
    fn arguments(&self) -> String {
        self.given.iter().map(|limit| format!(" --limit {limit}")).collect()
    }
}

fn carry_out(command: Command, changes: &Changes, jobs: usize) -> io::Result<ExitCode> {
    let text = match command {
        Command::Run(args) => return run_seeds(&args, changes, jobs),
        Command::Replay { file } => return replay_trace(file),
        Command::Spread { nodes, contacts, senders, rounds, seeds } => {
            let random_senders = senders == Senders::Random;
            spread::run(&spread::Options {
                network: Steady { contacts, ..Steady::new(nodes, &changes.limits) },
                random_senders,
                rounds,
                seeds,
                jobs,
            })
        }
        Command::Kill { nodes, share, seed } => {
            let mut shares: Vec<_> = share.clone().step_by(10).chain([*share.end()]).collect();
            shares.dedup();
            kill::run(&kill::Options { network: Steady::new(nodes, &changes.limits), shares, seed, jobs })
        }
        Command::Attack { honest, sybils, kind, seed } => {
            let kinds = if kind.is_empty() { Kind::value_variants().to_vec() } else { kind };
            attack::run(&attack::Options {
                network: Steady::new(honest, &changes.limits),
                sybils,
                kinds,
                seed,
                jobs,
            })
        }
        Command::Speed { nodes } => speed::run(&Steady::new(nodes, &changes.limits), 1),
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn run_seeds(args: &RunArgs, changes: &Changes, jobs: usize) -> io::Result<ExitCode> {
    if args.digest {
        return run_digests(args, changes, jobs);
    }
    if let Some(path) = &args.trace {
        let recorder = Recorder::new(Box::new(BufWriter::new(File::create(path)?)));
        let attached = Attached { recorder: Some((args.host, recorder)), ..Attached::default() };
        let outcome = run(args.seeds.start, &args.networks.options(&changes.limits), attached);
        println!("{outcome:#?}");
        return Ok(ExitCode::from(u8::from(outcome.breach.is_some())));
    }
    let campaign = Campaign {
        seeds: args.seeds.clone(),
        options: args.networks.options(&changes.limits),
        arguments: args.networks.to_string() + &changes.arguments(),
        jobs,
        log: args.log.clone(),
    };
    let summary = campaign.run(|line| eprintln!("{line}"))?;
    println!("{}", summary.text);
    Ok(ExitCode::from(u8::from(!summary.broken.is_empty())))
}

/// Makes the digests of all seeds and prints them, or what differs from those that are expected.
fn run_digests(args: &RunArgs, changes: &Changes, jobs: usize) -> io::Result<ExitCode> {
    let made_by =
        MadeBy { seeds: args.seeds.clone(), networks: args.networks.clone(), limits: changes.given.clone() };
    let expected = args.expect.as_deref().map(|path| expected(path, &made_by)).transpose()?;
    let seeds: Vec<_> = args.seeds.clone().collect();
    let mut broken = false;
    let by_seed = digests::make(&seeds, &args.networks, &changes.limits, jobs, |seed, outcome| {
        if let Some(breach) = &outcome.breach {
            eprintln!("seed {seed}: {breach}");
            broken = true;
        }
    });
    let Some(expected) = expected else {
        print!("{}", Digests { made_by, by_seed });
        return Ok(ExitCode::from(u8::from(broken)));
    };
    let differences = expected.differences(&by_seed);
    differences.values().for_each(|difference| println!("{difference}"));
    println!("{} of {} digests are as expected", by_seed.len() - differences.len(), by_seed.len());
    Ok(ExitCode::from(u8::from(broken || !differences.is_empty())))
}

/// Digests that were made of the same networks, of these seeds or others.
fn expected(path: &Path, made_by: &MadeBy) -> io::Result<Digests> {
    let wrong = |why| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    let digests = Digests::read(&std::fs::read_to_string(path)?).map_err(wrong)?;
    let expected = MadeBy { seeds: made_by.seeds.clone(), ..digests.made_by.clone() };
    if expected == *made_by {
        Ok(digests)
    } else {
        Err(wrong(format!("it is of other networks, made by\n  {}", digests.made_by)))
    }
}

fn replay_trace(file: PathBuf) -> io::Result<ExitCode> {
    match replay(BufReader::new(File::open(file)?)) {
        Ok(replayed) => {
            println!("{replayed:?}: all actions are the same");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("{error}");
            Ok(ExitCode::FAILURE)
        }
    }
}
