//! The command line, shared by the drivers' binaries.

mod config_file;
mod exit;
mod flags;
mod generated;
mod history;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::FromArgMatches;
use proto_core::{Limits, Name, NetworkId, PeerAddr, PeerTarget, Plaintext};
use tracing_subscriber::EnvFilter;

use self::config_file::ConfigFile;
pub use self::exit::Exit;
use self::flags::{Flags, command};
pub use self::history::History;
use self::values::login_name;
use crate::api::{ApiHost, CLIENTS_ARE_KNOWN};
use crate::terminal::TimeFormat;

/// The default of `--port`.
pub const DEFAULT_PORT: u16 = 8080;

/// The API's default port is the node's port plus this.
pub const API_PORT_OFFSET: u16 = 100;

/// The checked options of a node. Nothing has been opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The address to listen on for peers. Port 0 means any free port.
    pub bind: SocketAddr,
    /// Peers to dial until they are linked, each with the node that has to be there, if the user named one.
    pub peers: Vec<PeerTarget>,
    /// The user's name.
    pub uname: Name,
    /// The API's port on 127.0.0.1; 0 means any free port. `None` turns the API off.
    pub api_port: Option<u16>,
    /// The file with the token for whoever is not the user who runs the node. It is made if it does not exist.
    pub api_token_file: Option<PathBuf>,
    /// The names under which the API is served to those who have the token, besides those of this machine.
    pub api_hosts: Vec<ApiHost>,
    /// The address that peers are told to dial, if it differs from the one listened on. A host name is resolved in the background.
    pub advertise: Option<PeerAddr>,
    /// Whether peers at loopback addresses are taken for peers on this machine, however the node can be reached.
    pub trust_loopback: bool,
    /// Which connections may be in clear.
    pub plaintext: Plaintext,
    /// The parent of the data folder, which is named after the port. `None` means the platform's data folder.
    pub data_dir: Option<PathBuf>,
    /// Whether messages are kept in the data folder, and what of them.
    pub history: History,
    /// The network that the node belongs to.
    pub network: NetworkId,
    /// Whether peers without a key are admitted to a network that is not the open one.
    pub allow_v1: bool,
    /// The number of links to aim for. `None` means the protocol's default.
    pub degree: Option<usize>,
    /// What standard output is without a terminal.
    pub output: OutputForm,
    /// The node ends when standard input has ended and a peer holds all that was said.
    pub exit_when_done: bool,
    /// How times are shown on a terminal.
    pub time_format: TimeFormat,
    /// The log filter in the syntax of [`EnvFilter`].
    pub log: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Less is to be told than usual.
    quiet: bool,
}

/// What standard output is without a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputForm {
    /// `NAME: TEXT` for each line that others say.
    #[default]
    Text,
    /// Each event is one line of JSON.
    Json,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// Each line is a JSON object.
    Json,
}

impl Options {
    /// Reads the command line and the environment of this process for a binary of this name. If no node is to be
    /// started, prints why and returns the exit code.
    pub fn from_process(binary: &'static str) -> Result<Self, ExitCode> {
        Self::read(binary, std::env::args_os()).map_err(|exit| exit.print())
    }

    /// Reads a command line, including the program name, and the environment.
    pub fn read(binary: &'static str, args: impl IntoIterator<Item = OsString>) -> Result<Self, Exit> {
        let mut args: Vec<_> = args.into_iter().collect();
        let command = command(binary);
        let mut file = None;
        let usage = |line: String| Exit::Error(format!("{binary}: {line}"));
        let parse = |args: &[OsString], file: Option<&ConfigFile>| {
            let matches = command.clone().try_get_matches_from(args);
            let parsed = matches.and_then(|matches| Ok((Flags::from_arg_matches(&matches)?, matches)));
            parsed.map_err(|error| Exit::new(binary, &command, args, file, error))
        };
        let (mut flags, matches) = parse(&args, None)?;
        if let Some(generated) = generated::asked_for(&flags, &command) {
            return Err(Exit::Generated(generated));
        }
        if let Some(path) = &flags.config {
            let read = ConfigFile::read(path, &command, &matches).map_err(usage)?;
            args.extend(read.args.iter().cloned());
            file = Some(read);
        }
        if file.is_some() {
            (flags, _) = parse(&args, file.as_ref())?;
        }
        let rust_log = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
        Self::check(flags, rust_log).map_err(usage)
    }

    fn check(flags: Flags, rust_log: Option<String>) -> Result<Self, String> {
        let api_port = match (flags.no_api, flags.api_port, flags.port) {
            (true, ..) => None,
            (false, Some(port), _) => Some(port),
            (false, None, 0) => Some(0),
            (false, None, port) => Some(port.checked_add(API_PORT_OFFSET).ok_or_else(|| {
                format!(
                    "the API's port would be {port} + {API_PORT_OFFSET}, which is above 65535: \
                     choose one with --api-port, or turn the API off with --no-api"
                )
            })?),
        };
        let (given, most) = (flags.peers.len(), Limits::default().mesh.targets);
        if given > most {
            return Err(format!("--peer: {given} addresses are given, {most} are the most"));
        }
        if !flags.api_hosts.is_empty() && flags.api_token_file.is_none() {
            return Err(
                "--api-host: under such a name the API needs a token: give --api-token-file, too".to_owned()
            );
        }
        if let Some(filter) = &rust_log {
            EnvFilter::try_new(filter).map_err(|error| format!("RUST_LOG: {filter:?}: {error}"))?;
        }
        Ok(Self {
            bind: SocketAddr::new(flags.bind, flags.port),
            peers: flags.peers,
            uname: flags.uname.unwrap_or_else(login_name),
            api_port,
            api_token_file: flags.api_token_file,
            api_hosts: flags.api_hosts,
            advertise: flags.advertise,
            trust_loopback: flags.trust_loopback,
            plaintext: flags.plaintext,
            data_dir: flags.data_dir,
            history: History::of(&flags.history),
            network: flags.network,
            allow_v1: flags.allow_v1,
            degree: flags.degree,
            output: flags.output,
            exit_when_done: flags.exit_when_done,
            time_format: flags.time_format,
            // Notices are shown whatever else is logged.
            log: rust_log.map_or_else(
                || log_filter(flags.verbose, flags.quiet),
                |filter| format!("{NOTICES}=info,{filter}"),
            ),
            quiet: flags.quiet > flags.verbose,
            log_format: flags.log_format,
        })
    }

    /// The protocol's limits with the user's choices.
    pub fn limits(&self) -> Limits {
        let limits = Limits::default();
        match self.degree {
            None => limits,
            Some(target) => limits.with(|limits| {
                limits.mesh.degree_low = (target * 3 / 4).max(1);
                limits.mesh.degree_target = target;
                limits.mesh.degree_high = (target * 3).div_ceil(2);
                limits.mesh.degree_outbound = target / 2;
            }),
        }
    }

    /// Whether the node trusts loopback: when told to, or when it can be reached from there alone. An address that peers
    /// are told and that is elsewhere leads through a proxy.
    pub fn trusts_loopback(&self) -> bool {
        let on_loopback = |addr: &PeerAddr| matches!(addr, PeerAddr::Ip(addr) if addr.ip().is_loopback());
        let only_here =
            self.bind.ip().to_canonical().is_loopback() && self.advertise.as_ref().is_none_or(on_loopback);
        self.trust_loopback || only_here
    }

    /// Whether notices are told to the user, where they are no part of the log.
    pub(crate) fn tells_notices(&self) -> bool {
        !self.quiet
    }

    /// Warnings to show before the node starts, one line each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let ip = self.bind.ip();
        let open = (!ip.is_loopback()).then(|| {
            let unencrypted = match self.plaintext {
                Plaintext::Allow => "; --plaintext allow: connections may be unencrypted",
                _ => "",
            };
            format!("--bind {ip}: anyone who can reach this port can join the chat and read it{unencrypted}")
        });
        let unserved = (self.api_port.is_some() && self.api_token_file.is_none() && !CLIENTS_ARE_KNOWN).then(|| {
            "this system does not tell whose a connection is, so page and API serve nobody without --api-token-file"
                .to_owned()
        });
        open.into_iter().chain(unserved)
    }
}

/// The target of notices to the user in the log.
pub(crate) const NOTICES: &str = "chat";

fn log_filter(verbose: u8, quiet: u8) -> String {
    let ours = match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => return "off".to_owned(),
        -1 => return format!("error,{NOTICES}=warn"),
        0 => return format!("warn,{NOTICES}=info"),
        1 => "info",
        2 => "debug",
        3.. => return "trace".to_owned(),
    };
    let crates = [NOTICES, "proto_core", "driver_common", "driver_tokio", "driver_smol"];
    crates.iter().fold("warn".to_owned(), |filter, name| format!("{filter},{name}={ours}"))
}
