//! The flags.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, Parser};
use proto_core::{Name, NetworkId, PeerAddr, PeerTarget, Plaintext};

use super::history::HistoryFlags;
use super::values::{
    advertise, api_host, count, degree, file, folder, ip_addr, log_format, network, output_form, peer_target,
    plaintext, port, switch, time_format, uname,
};
use super::{API_PORT_OFFSET, DEFAULT_PORT, LogFormat, OutputForm};
use crate::api::ApiHost;
use crate::terminal::TimeFormat;

#[derive(Parser)]
#[command(
    version,
    about = "A node of a peer-to-peer chat network: what you type is sent to everybody in the network",
    long_about = None,
)]
pub(super) struct Flags {
    /// Port to listen on for peers; 0 picks any free port
    #[arg(long, env = "CHAT_PORT", default_value_t = DEFAULT_PORT, value_parser = port)]
    pub(super) port: u16,

    /// Peer to connect to and stay connected to; repeat the flag or separate several by commas, 1024 at most. With the whole
    /// id or key of a node before it, no other node is accepted there
    #[arg(
        long = "peer",
        value_name = "[ID@]HOST:PORT",
        env = "CHAT_PEER",
        value_delimiter = ',',
        value_parser = peer_target
    )]
    pub(super) peers: Vec<PeerTarget>,

    /// Your name in the chat, at most 64 bytes [default: your login name]
    #[arg(long, value_name = "NAME", env = "CHAT_UNAME", value_parser = uname)]
    pub(super) uname: Option<Name>,

    /// Address to listen on for peers
    #[arg(
        long,
        value_name = "IP",
        env = "CHAT_BIND",
        default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST),
        value_parser = ip_addr
    )]
    pub(super) bind: IpAddr,

    /// Port of the API and the web page on 127.0.0.1; 0 picks any free port [default: --port + 100]
    #[arg(long, value_name = "PORT", env = "CHAT_API_PORT", value_parser = port)]
    pub(super) api_port: Option<u16>,

    /// File with the API's token, for whoever is not the user who runs this node: other users, other machines by a port
    /// forward, and every user where the system is not Linux. It is made if it does not exist
    #[arg(long, value_name = "FILE", env = "CHAT_API_TOKEN_FILE", value_parser = file)]
    pub(super) api_token_file: Option<PathBuf>,

    /// Name under which the API may be reached by a port forward or a proxy, always with the token; repeat the flag or
    /// separate several by commas. Without a port, any is admitted
    #[arg(
        long = "api-host",
        value_name = "NAME[:PORT]",
        env = "CHAT_API_HOST",
        value_delimiter = ',',
        value_parser = api_host
    )]
    pub(super) api_hosts: Vec<ApiHost>,

    /// Turn off the API and the web page
    #[arg(long, env = "CHAT_NO_API", action = ArgAction::SetTrue, value_parser = switch)]
    pub(super) no_api: bool,

    /// Address that peers are told to connect to, if it is not the one listened on; a name is looked up until it is found
    #[arg(long, value_name = "HOST:PORT", env = "CHAT_ADVERTISE", value_parser = advertise)]
    pub(super) advertise: Option<PeerAddr>,

    /// Take every peer at a loopback address for a peer on this machine: no rate limits, and it may name addresses on this
    /// machine and its networks. Not for a machine with a proxy or tunnel that strangers can use [default: only if the
    /// node can be reached from this machine alone]
    #[arg(long, env = "CHAT_TRUST_LOOPBACK", action = ArgAction::SetTrue, value_parser = switch)]
    pub(super) trust_loopback: bool,

    /// Which connections may be unencrypted: none (off), those with this machine (loopback), or all that others open so,
    /// and those to addresses that cannot be reached encrypted (allow)
    #[arg(
        long,
        value_name = "off|loopback|allow",
        env = "CHAT_PLAINTEXT",
        default_value = "loopback",
        value_parser = plaintext
    )]
    pub(super) plaintext: Plaintext,

    /// Folder for this node's key and history, in a subfolder named after the port. With port 0 they are stored only if this
    /// flag is given, in the subfolder 0 [default: the platform's data folder]
    #[arg(long, value_name = "DIR", env = "CHAT_DATA_DIR", value_parser = folder)]
    pub(super) data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(super) history: HistoryFlags,

    /// Network to belong to, a name of at most 64 bytes: nodes of different networks refuse each other [default: the open network]
    #[arg(
        long,
        value_name = "NAME",
        env = "CHAT_NETWORK",
        default_value = "",
        hide_default_value = true,
        value_parser = network
    )]
    pub(super) network: NetworkId,

    /// Admit version 1 nodes to the network given by --network; the open network always admits them
    #[arg(long, env = "CHAT_ALLOW_V1", action = ArgAction::SetTrue, value_parser = switch)]
    pub(super) allow_v1: bool,

    /// Number of links to aim for in a large network, 1 to 64; a node has up to half as many more [default: 8]
    #[arg(long, value_name = "LINKS", env = "CHAT_DEGREE", value_parser = degree)]
    pub(super) degree: Option<usize>,

    /// Settings from a TOML file whose keys are the flags' names, as in peer = ["127.0.0.1:8080"]; flags and environment variables
    /// take precedence
    #[arg(long, value_name = "FILE", env = "CHAT_CONFIG", value_parser = file)]
    pub(super) config: Option<PathBuf>,

    /// What standard output is without a terminal: text (NAME: TEXT) or json (one event a line, as on /ws?v=2). json never
    /// uses the terminal
    #[arg(long, value_name = "text|json", env = "CHAT_OUTPUT", default_value = "text", value_parser = output_form)]
    pub(super) output: OutputForm,

    /// End when standard input has ended and a peer holds all that was said
    #[arg(long, env = "CHAT_EXIT_WHEN_DONE", action = ArgAction::SetTrue, value_parser = switch)]
    pub(super) exit_when_done: bool,

    /// How times are shown on a terminal, as in strftime; none shows no times
    #[arg(long, value_name = "FORMAT", env = "CHAT_TIME_FORMAT", default_value = "%H:%M", value_parser = time_format)]
    pub(super) time_format: TimeFormat,

    /// Form of the log on standard error
    #[arg(long, value_name = "text|json", env = "CHAT_LOG_FORMAT", default_value = "text", value_parser = log_format)]
    pub(super) log_format: LogFormat,

    /// Print a script that completes the flags in this shell, and exit
    #[arg(long, value_name = "SHELL", value_enum)]
    pub(super) completions: Option<clap_complete::Shell>,

    /// Print the manual page, and exit
    #[arg(long)]
    pub(super) man_page: bool,

    /// Log more: -v information, -vv debugging, -vvv everything; RUST_LOG takes precedence if it is set
    #[arg(short, long, env = "CHAT_VERBOSE", action = ArgAction::Count, value_parser = count)]
    pub(super) verbose: u8,

    /// Log less: -q errors and warnings about the chat only, -qq nothing at all
    #[arg(short, long, env = "CHAT_QUIET", action = ArgAction::Count, value_parser = count)]
    pub(super) quiet: u8,
}

pub(super) fn command(binary: &'static str) -> clap::Command {
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
