use clap::Parser;

use super::values::{MAX_DEGREE, count, switch};
use super::*;

fn read(args: &[&str]) -> Result<Options, Exit> {
    Options::read("chat-x", ["/bin/chat-x"].iter().chain(args).map(OsString::from))
}

fn options(args: &[&str]) -> Options {
    read(args).unwrap()
}

fn error(args: &[&str]) -> String {
    match read(args) {
        Err(Exit::Error(line)) => line,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn the_command_is_sound() {
    command("chat-x").debug_assert();
}

#[test]
fn defaults() {
    let options = options(&[]);
    assert_eq!(options.bind, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(options.api_port, Some(8180));
    assert_eq!((options.peers.len(), options.advertise.is_none()), (0, true));
    assert_eq!((options.network, options.allow_v1), (NetworkId::OPEN, false));
    assert!(!options.uname.as_str().is_empty());
    assert_eq!(options.plaintext, Plaintext::Loopback);
    assert_eq!(options.warnings().count(), usize::from(!CLIENTS_ARE_KNOWN));
    assert_eq!((options.api_token_file.is_none(), options.api_hosts.len()), (true, 0));
}

#[test]
fn a_name_for_the_api_needs_a_token() {
    let line = error(&["--api-host", "chat.example.org"]);
    assert!(line.contains("--api-host") && line.contains("--api-token-file"), "{line}");
    assert!(error(&["--api-host", "http://x", "--api-token-file", "t"]).contains("a name or an IP address"));
    for none in ["", "/", ".."] {
        let line = error(&["--api-token-file", none]);
        assert!(line.contains("--api-token-file: ") && line.contains("does not name a file"), "{line}");
    }
}

#[test]
fn every_flag() {
    let options = options(&[
        "--port=9000",
        "--peer",
        "[::1]:1",
        "--peer",
        "b.example:2,c.example:3",
        "--peer",
        " 78b2cd5d-5b5e-8b7d-8e2a-0a1b2c3d4e5f@d.example:4",
        "--plaintext=off",
        "--uname",
        " Zoë ",
        "--bind",
        "::1",
        "--api-port",
        "7",
        "--api-token-file",
        "some/token",
        "--api-host",
        "Chat.example.org,localhost:9000",
        "--advertise",
        "d.example:4",
        "--trust-loopback",
        "--data-dir",
        "some/folder",
        "--network",
        "club",
        "--allow-v1",
        "--degree",
        "6",
        "-vv",
    ]);
    assert_eq!(options.bind, "[::1]:9000".parse().unwrap());
    let peers: Vec<_> = options.peers.iter().map(ToString::to_string).collect();
    let named = "78b2cd5d-5b5e-8b7d-8e2a-0a1b2c3d4e5f@d.example:4";
    assert_eq!(peers, ["[::1]:1", "b.example:2", "c.example:3", named]);
    assert_eq!(options.plaintext, Plaintext::Off);
    assert_eq!(options.uname.as_str(), "Zoë");
    assert_eq!(options.api_port, Some(7));
    assert_eq!(options.api_token_file, Some("some/token".into()));
    let hosts: Vec<_> = options.api_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["chat.example.org", "localhost:9000"]);
    assert_eq!(options.advertise.unwrap().to_string(), "d.example:4");
    assert!(options.trust_loopback);
    assert_eq!(options.data_dir, Some("some/folder".into()));
    assert_eq!((options.network, options.allow_v1), (NetworkId::named("club"), true));
    assert_eq!(options.degree, Some(6));
    assert!(options.log.contains("proto_core=debug"), "{}", options.log);
}

#[test]
fn every_degree_is_one_that_a_node_can_have() {
    for degree in 1..=MAX_DEGREE {
        let limits = options(&["--degree", &degree.to_string()]).limits();
        let of_it = (limits.mesh.degree_low, limits.mesh.degree_target, limits.mesh.degree_high);
        assert!(of_it.0 <= degree && of_it.1 == degree && degree < of_it.2, "{of_it:?}");
        assert_eq!(limits.check(), Ok(()), "{degree}");
    }
    let default = options(&["--degree", "8"]).limits();
    assert_eq!((default, options(&[]).limits()), (Limits::default(), Limits::default()));
}

#[test]
fn the_api_port_follows_the_port() {
    assert_eq!(options(&["--port", "0"]).api_port, Some(0));
    assert_eq!(options(&["--port", "65435"]).api_port, Some(65535));
    let line = error(&["--port", "65436"]);
    assert_eq!(
        line,
        "chat-x: the API's port would be 65436 + 100, which is above 65535: \
         choose one with --api-port, or turn the API off with --no-api"
    );
    assert_eq!(options(&["--port", "65436", "--no-api"]).api_port, None);
    assert_eq!(options(&["--port", "65436", "--api-port", "1"]).api_port, Some(1));
}

#[test]
fn every_error_is_one_line_that_names_its_place() {
    let long = "x".repeat(65);
    for (args, expected) in [
        (&["--port", "x"][..], "chat-x: --port: \"x\" is not a port from 1 to 65535, or 0 for any free port"),
        (
            &["--port=65536"],
            "chat-x: --port: \"65536\" is not a port from 1 to 65535, or 0 for any free port",
        ),
        (
            &["--api-port", "+1"],
            "chat-x: --api-port: \"+1\" is not a port from 1 to 65535, or 0 for any free port",
        ),
        (
            &["--peer", "host"],
            "chat-x: --peer: \"host\": an address ends with a port from 1 to 65535, as in 127.0.0.1:8080",
        ),
        (
            &["--bind", "localhost"],
            "chat-x: --bind: \"localhost\" is not an IP address, as in 127.0.0.1 or ::1",
        ),
        (
            &["--advertise", "0.0.0.0:1"],
            "chat-x: --advertise: \"0.0.0.0:1\": no peer can connect to that address",
        ),
        (&["--degree", "0"], "chat-x: --degree: \"0\" is not a number of links from 1 to 64"),
        (&["--degree", "65"], "chat-x: --degree: \"65\" is not a number of links from 1 to 64"),
        (&["--data-dir", ""], "chat-x: --data-dir: the folder name is empty"),
        (&["--uname", " "], "chat-x: --uname: \" \": a name must not be empty"),
        (&["--uname", "a\nb"], "chat-x: --uname: \"a\\nb\": a name has no control characters in it"),
        (&["--prot", "1"], "chat-x: unexpected argument '--prot' found (see --help)"),
        (&["hello"], "chat-x: unexpected argument 'hello' found (see --help)"),
        (&["--port"], "chat-x: a value is required for '--port <PORT>' but none was supplied (see --help)"),
        (
            &["--port", "1", "--port", "2"],
            "chat-x: the argument '--port <PORT>' cannot be used multiple times (see --help)",
        ),
    ] {
        assert_eq!(error(args), expected);
    }
    assert!(error(&["--uname", &long]).ends_with("a name is at most 64 bytes long, this one is 65"));
    assert_eq!(options(&["--uname", &long[1..]]).uname.as_str(), &long[1..]);
}

#[test]
fn arguments_that_are_not_utf8_are_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let args = [b"/bin/chat-x".to_vec(), b"--uname".to_vec(), vec![0xff]].map(OsString::from_vec);
    assert!(matches!(Options::read("chat-x", args), Err(Exit::Error(line)) if line.lines().count() == 1));
}

#[test]
fn help_and_version_are_shown() {
    let Err(Exit::Shown(help)) = read(&["--help"]) else { panic!() };
    let help = help.to_string();
    for part in [
        "Usage: chat-x",
        "Examples:",
        "[env: CHAT_PEER]",
        "[default: 8080]",
        "--no-api",
        "-q",
        "--data-dir",
        "1024 at most",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
    let Err(Exit::Shown(version)) = read(&["--version"]) else { panic!() };
    assert_eq!(version.to_string(), concat!("chat-x ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_bind_beyond_loopback_is_warned_of() {
    for (ip, warnings) in [("127.9.9.9", 0), ("::1", 0), ("0.0.0.0", 1), ("::", 1), ("10.0.0.1", 1)] {
        let warned: Vec<_> = options(&["--bind", ip]).warnings().collect();
        assert_eq!(warned.len(), warnings, "{ip}");
        assert!(warned.iter().all(|line| line.contains(ip) && !line.contains('\n')));
    }
}

#[test]
fn loopback_is_trusted_by_a_node_that_is_reached_from_there_alone_or_when_told_to() {
    for (args, trusted) in [
        (&[][..], true),
        (&["--bind", "127.9.9.9"], true),
        (&["--bind", "::1"], true),
        (&["--bind", "::ffff:127.0.0.1"], true),
        (&["--bind", "0.0.0.0"], false),
        (&["--bind", "::"], false),
        (&["--bind", "10.0.0.1"], false),
        (&["--bind", "0.0.0.0", "--advertise", "127.0.0.1:8080"], false),
        (&["--advertise", "chat.example.org:8080"], false),
        (&["--advertise", "9.9.9.9:8080"], false),
        (&["--advertise", "127.0.0.1:8081"], true),
    ] {
        assert_eq!(options(args).trusts_loopback(), trusted, "{args:?}");
        let told = [args, &["--trust-loopback"]].concat();
        assert!(options(&told).trusts_loopback(), "{told:?}");
    }
}

#[test]
fn verbosity_sums_up() {
    for (args, filter) in [
        (&[][..], "warn,chat=info"),
        (&["-q"], "error,chat=warn"),
        (&["-qq"], "off"),
        (&["-vvq", "-q"], "warn,chat=info"),
        (&["-vvv"], "trace"),
    ] {
        let flags = Flags::parse_from(["x"].iter().chain(args));
        assert_eq!(log_filter(flags.verbose, flags.quiet), filter);
    }
}

#[test]
fn switches_and_counts_from_the_environment() {
    for (text, value) in [("1", Ok(true)), ("Off", Ok(false)), ("no", Ok(false)), ("TRUE", Ok(true))] {
        assert_eq!(switch(text), value);
    }
    assert_eq!(switch("maybe"), Err("\"maybe\" is neither 1 nor 0".to_owned()));
    assert_eq!(count("2"), Ok(2));
    assert_eq!(count("256"), Err("\"256\" is not a number from 0 to 255".to_owned()));
}

#[test]
fn rust_log_decides_and_is_checked() {
    let flags = || Flags::parse_from(["x", "-v"]);
    let options = Options::check(flags(), Some("driver_common=trace".to_owned())).unwrap();
    assert_eq!(options.log, "chat=info,driver_common=trace");
    let line = Options::check(flags(), Some("a=b=c".to_owned())).unwrap_err();
    assert!(line.starts_with("RUST_LOG: \"a=b=c\": "), "{line}");
}

#[test]
fn so_many_peers_can_be_given_as_the_help_says() {
    let most = Limits::default().mesh.targets;
    let given = |count: usize| {
        let addrs: Vec<_> = (1..=count).map(|port| format!("127.0.0.1:{port}")).collect();
        read(&["--peer", &addrs.join(",")])
    };
    assert_eq!(given(most).unwrap().peers.len(), most);
    assert!(matches!(given(most + 1), Err(Exit::Error(line)) if line.contains("1025 addresses")));
    let help = command("chat-x").render_long_help().to_string();
    assert!(help.contains(&format!("{most} at most")), "{help}");
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_file_gives_what_the_command_line_does_not() {
    let (_folder, path) = config(
        "port = 9000\npeer = ['a.example:1', 'b.example:2']\nuname = 'Zoë'\nallow-v1 = true\nno-api = false\nverbose = 2\n\
         time-format = ''\noutput = 'json'\n",
    );
    let read = options(&["--config", &path, "--uname", "Bob"]);
    assert_eq!((read.bind.port(), read.uname.as_str()), (9000, "Bob"));
    let peers: Vec<_> = read.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["a.example:1", "b.example:2"]);
    assert!(read.allow_v1 && read.api_port == Some(9100) && read.log.contains("proto_core=debug"));
    assert_eq!((read.output, read.time_format), (OutputForm::Json, "".parse().unwrap()));
    assert_eq!(options(&["--config", &path, "--peer", "c.example:3"]).peers.len(), 1);
}

#[test]
fn what_is_wrong_in_a_file_is_one_line_that_names_its_place() {
    for (text, expected) in [
        ("port = 'x'", ": port: \"x\" is not a port from 1 to 65535, or 0 for any free port"),
        ("prot = 1", ": there is no setting \"prot\""),
        ("config = 'a'", ": there is no setting \"config\""),
        ("man-page = true", ": there is no setting \"man-page\""),
        ("no-api = 1", ": no-api: true or false is expected"),
        ("verbose = -1", ": verbose: a number from 0 to 255 is expected"),
        ("peer = [1.5]", ": peer: a text or a number is expected"),
        ("uname = ['a']", ": uname: a text or a number is expected"),
        ("port = 1\nport = 2", ", line 2: duplicate key"),
        ("port =", ", line 1: "),
    ] {
        let (_folder, path) = config(text);
        let line = error(&["--config", &path]);
        assert!(
            line.starts_with(&format!("chat-x: {path}{expected}")) && line.lines().count() == 1,
            "{line}"
        );
    }
    assert!(error(&["--config", "/nowhere/chat.toml"]).starts_with("chat-x: --config /nowhere/chat.toml: "));
}

#[test]
fn completions_and_the_manual_page_are_made_from_the_flags() {
    for (args, part) in [
        (&["--completions", "bash"][..], "--exit-when-done"),
        (&["--completions", "zsh"], "--exit-when-done"),
        (&["--completions", "fish"], "exit-when-done"),
        (&["--man-page"], "exit\\-when\\-done"),
    ] {
        let Err(Exit::Generated(text)) = read(args) else { panic!("{args:?}") };
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains(part) && text.contains("chat-x") || text.contains("chat\\-x"),
            "{args:?}: {text}"
        );
    }
    assert!(error(&["--completions", "tcsh"]).contains("--completions"));
}
