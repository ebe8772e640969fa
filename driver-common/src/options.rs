//! The command line, shared by the drivers' binaries.

mod history;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use proto_core::{Limits, Name, NetworkId, PeerAddr, PeerTarget, Plaintext};
use tracing_subscriber::EnvFilter;

pub use self::history::History;
use self::history::HistoryFlags;
use crate::api::{ApiHost, CLIENTS_ARE_KNOWN};

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
    /// The address that peers are told to dial, if it differs from the one listened on. A host name is resolved first.
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
    /// The log filter in the syntax of [`EnvFilter`].
    pub log: String,
}

impl Options {
    /// Reads the command line and the environment of this process for a binary of this name. If no node is to be
    /// started, prints why and returns the exit code.
    pub fn from_process(binary: &'static str) -> Result<Self, ExitCode> {
        Self::read(binary, std::env::args_os()).map_err(|exit| exit.print())
    }

    /// Reads a command line, including the program name, and the environment.
    pub fn read(binary: &'static str, args: impl IntoIterator<Item = OsString>) -> Result<Self, Exit> {
        let args: Vec<_> = args.into_iter().collect();
        let command = command(binary);
        let flags = command
            .clone()
            .try_get_matches_from(&args)
            .and_then(|matches| Flags::from_arg_matches(&matches))
            .map_err(|error| Exit::new(binary, &command, &args, error))?;
        let rust_log = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
        Self::check(flags, rust_log).map_err(|line| Exit::Error(format!("{binary}: {line}")))
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
            log: rust_log.unwrap_or_else(|| log_filter(flags.verbose, flags.quiet)),
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

/// Why no node is started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Exit {
    /// The user asked for the help or the version.
    Shown(clap::Error),
    /// The command line or the environment is invalid: one line.
    Error(String),
}

impl Exit {
    fn new(binary: &str, command: &clap::Command, args: &[OsString], error: clap::Error) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Shown(error);
        }
        let line = match (error.get(ContextKind::InvalidArg), std::error::Error::source(&error)) {
            (Some(ContextValue::String(arg)), Some(source)) => {
                let flag = arg.split([' ', '.']).next().unwrap_or(arg);
                format!("{}: {source}", where_given(command, args, flag))
            }
            _ => {
                let text = error.render().to_string();
                let line = text.lines().next().unwrap_or_default();
                format!("{} (see --help)", line.strip_prefix("error: ").unwrap_or(line))
            }
        };
        Self::Error(format!("{binary}: {line}"))
    }

    /// Prints the text and returns the exit code.
    pub fn print(&self) -> ExitCode {
        match self {
            Self::Shown(text) => {
                // It fails if standard output is closed. Then there is nowhere to report it.
                let _ = text.print();
                ExitCode::SUCCESS
            }
            Self::Error(line) => {
                eprintln!("{line}");
                ExitCode::FAILURE
            }
        }
    }
}

/// The flag if the user wrote it, otherwise the environment variable that the value came from.
fn where_given(command: &clap::Command, args: &[OsString], flag: &str) -> String {
    let written = args.iter().any(|arg| arg.to_string_lossy().starts_with(flag));
    let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
    match arg.and_then(clap::Arg::get_env) {
        Some(variable) if !written => variable.to_string_lossy().into_owned(),
        _ => flag.to_owned(),
    }
}

#[derive(Parser)]
#[command(
    version,
    about = "A node of a peer-to-peer chat network: what you type is sent to everybody in the network",
    long_about = None,
)]
struct Flags {
    /// Port to listen on for peers; 0 picks any free port
    #[arg(long, env = "CHAT_PORT", default_value_t = DEFAULT_PORT, value_parser = port)]
    port: u16,

    /// Peer to connect to and stay connected to; repeat the flag or separate several by commas, 1024 at most. With the whole
    /// id or key of a node before it, no other node is accepted there
    #[arg(
        long = "peer",
        value_name = "[ID@]HOST:PORT",
        env = "CHAT_PEER",
        value_delimiter = ',',
        value_parser = peer_target
    )]
    peers: Vec<PeerTarget>,

    /// Your name in the chat, at most 64 bytes [default: your login name]
    #[arg(long, value_name = "NAME", env = "CHAT_UNAME", value_parser = uname)]
    uname: Option<Name>,

    /// Address to listen on for peers
    #[arg(
        long,
        value_name = "IP",
        env = "CHAT_BIND",
        default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
        value_parser = ip_addr
    )]
    bind: IpAddr,

    /// Port of the API and the web page on 127.0.0.1; 0 picks any free port [default: --port + 100]
    #[arg(long, value_name = "PORT", env = "CHAT_API_PORT", value_parser = port)]
    api_port: Option<u16>,

    /// File with the API's token, for whoever is not the user who runs this node: other users, other machines by a port
    /// forward, and every user where the system is not Linux. It is made if it does not exist
    #[arg(long, value_name = "FILE", env = "CHAT_API_TOKEN_FILE", value_parser = file)]
    api_token_file: Option<PathBuf>,

    /// Name under which the API may be reached by a port forward or a proxy, always with the token; repeat the flag or
    /// separate several by commas. Without a port, any is admitted
    #[arg(
        long = "api-host",
        value_name = "NAME[:PORT]",
        env = "CHAT_API_HOST",
        value_delimiter = ',',
        value_parser = api_host
    )]
    api_hosts: Vec<ApiHost>,

    /// Turn off the API and the web page
    #[arg(long, env = "CHAT_NO_API", action = ArgAction::SetTrue, value_parser = switch)]
    no_api: bool,

    /// Address that peers are told to connect to, if it is not the one listened on; a name is looked up until it is found
    #[arg(long, value_name = "HOST:PORT", env = "CHAT_ADVERTISE", value_parser = advertise)]
    advertise: Option<PeerAddr>,

    /// Take every peer at a loopback address for a peer on this machine: no rate limits, and it may name addresses on this
    /// machine and its networks. Not for a machine with a proxy or tunnel that strangers can use [default: only if the
    /// node can be reached from this machine alone]
    #[arg(long, env = "CHAT_TRUST_LOOPBACK", action = ArgAction::SetTrue, value_parser = switch)]
    trust_loopback: bool,

    /// Which connections may be unencrypted: none (off), those with this machine (loopback), or all that others open so,
    /// and those to addresses that cannot be reached encrypted (allow)
    #[arg(
        long,
        value_name = "off|loopback|allow",
        env = "CHAT_PLAINTEXT",
        default_value = "loopback",
        value_parser = plaintext
    )]
    plaintext: Plaintext,

    /// Folder for this node's key and history, in a subfolder named after the port. With port 0 they are stored only if this
    /// flag is given, in the subfolder 0 [default: the platform's data folder]
    #[arg(long, value_name = "DIR", env = "CHAT_DATA_DIR", value_parser = folder)]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    history: HistoryFlags,

    /// Network to belong to: nodes of different networks refuse each other [default: the open network]
    #[arg(
        long,
        value_name = "NAME",
        env = "CHAT_NETWORK",
        default_value = "",
        hide_default_value = true,
        value_parser = network
    )]
    network: NetworkId,

    /// Admit version 1 nodes to the network given by --network; the open network always admits them
    #[arg(long, env = "CHAT_ALLOW_V1", action = ArgAction::SetTrue, value_parser = switch)]
    allow_v1: bool,

    /// Number of links to aim for in a large network; a node has up to half as many more [default: 8]
    #[arg(long, value_name = "LINKS", env = "CHAT_DEGREE", value_parser = degree)]
    degree: Option<usize>,

    /// Log more: -v information, -vv debugging, -vvv everything; RUST_LOG takes precedence if it is set
    #[arg(short, long, env = "CHAT_VERBOSE", action = ArgAction::Count, value_parser = count)]
    verbose: u8,

    /// Log less: -q errors only, -qq nothing
    #[arg(short, long, env = "CHAT_QUIET", action = ArgAction::Count, value_parser = count)]
    quiet: u8,
}

fn command(binary: &'static str) -> clap::Command {
    let examples = format!(
        "Examples:
  {binary} --uname Alice
          listen on 127.0.0.1:{DEFAULT_PORT}; page and API on http://127.0.0.1:{api}
  {binary} --port 8081 --peer 127.0.0.1:{DEFAULT_PORT} --uname Bob
          a second node on the same machine, connected to the first
  {binary} --bind 0.0.0.0 --advertise chat.example.org:{DEFAULT_PORT}
          accept connections from other machines, under a name of your own
  CHAT_PORT=0 CHAT_PEER=10.0.0.1:8080,10.0.0.2:8080 {binary} < lines.txt
          settings from the environment; send the lines of a file",
        api = DEFAULT_PORT + API_PORT_OFFSET,
    );
    let set_but_empty =
        |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    Flags::command()
        .name(binary)
        .bin_name(binary)
        .after_help(examples)
        .mut_args(|arg| arg.hide_env_values(true))
        .mut_args(|arg| if set_but_empty(&arg) { arg.env(None::<&str>) } else { arg })
}

fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("{text:?} is not a port from 1 to 65535, or 0 for any free port"))
}

fn ip_addr(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address, as in 127.0.0.1 or ::1"))
}

fn peer_addr(text: &str) -> Result<PeerAddr, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn peer_target(text: &str) -> Result<PeerTarget, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn plaintext(text: &str) -> Result<Plaintext, String> {
    match text {
        "off" => Ok(Plaintext::Off),
        "loopback" => Ok(Plaintext::Loopback),
        "allow" => Ok(Plaintext::Allow),
        _ => Err(format!("{text:?} is none of off, loopback and allow")),
    }
}

fn advertise(text: &str) -> Result<PeerAddr, String> {
    match peer_addr(text)? {
        PeerAddr::Ip(addr) if addr.ip().is_unspecified() || addr.ip().is_multicast() => {
            Err(format!("{text:?}: no peer can connect to that address"))
        }
        addr => Ok(addr),
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the folder name is empty".to_owned()) } else { Ok(text.into()) }
}

fn file(text: &str) -> Result<PathBuf, String> {
    match PathBuf::from(text) {
        path if path.file_name().is_some() => Ok(path),
        _ => Err(format!("{text:?} does not name a file")),
    }
}

fn api_host(text: &str) -> Result<ApiHost, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// The largest accepted degree.
const MAX_DEGREE: usize = 64;

fn degree(text: &str) -> Result<usize, String> {
    let degree = text.parse().ok().filter(|degree| (1..=MAX_DEGREE).contains(degree));
    degree.ok_or_else(|| format!("{text:?} is not a number of links from 1 to {MAX_DEGREE}"))
}

fn uname(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// The longest name of a network, in bytes.
const MAX_NETWORK: usize = 64;

fn network(text: &str) -> Result<NetworkId, String> {
    if text.len() > MAX_NETWORK || text.chars().any(char::is_control) {
        return Err(format!(
            "{text:?} is not a name of at most {MAX_NETWORK} bytes without control characters"
        ));
    }
    Ok(NetworkId::named(text))
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither 1 nor 0")),
    }
}

fn count(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number from 0 to 255"))
}

/// The login name, turned into a legal name.
fn login_name() -> Name {
    let login = whoami::fallible::username().unwrap_or_default();
    let printable: String = login.chars().filter(|char| !char.is_control()).collect();
    Name::cut(printable.trim()).unwrap_or_else(|| Name::cut("anonymous").expect("the name is legal"))
}

fn log_filter(verbose: u8, quiet: u8) -> String {
    let ours = match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => return "off".to_owned(),
        -1 => return "error".to_owned(),
        0 => return "warn".to_owned(),
        1 => "info",
        2 => "debug",
        3.. => return "trace".to_owned(),
    };
    let crates = ["proto_core", "driver_common", "driver_tokio", "driver_smol"];
    crates.iter().fold("warn".to_owned(), |filter, name| format!("{filter},{name}={ours}"))
}

#[cfg(test)]
mod tests;
