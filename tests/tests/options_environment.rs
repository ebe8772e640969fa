//! Each flag is an environment variable too: read, checked, and less than the flag.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use tests::binary;
use tests::process::{Driver, Launch};

fn command(driver: Driver, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary::path(driver.name()));
    // No home is anybody's: what a node would keep there it keeps nowhere.
    command.env_clear().env("HOME", "/dev/null").envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(driver: Driver, env: &[(&str, &str)]) -> Output {
    command(driver, env).output().expect("the binary starts")
}

/// A node that is killed when dropped.
struct Node(Child);

impl Node {
    fn start(driver: Driver, env: &[(&str, &str)], args: &[&str]) -> Self {
        Self(command(driver, env).args(args).spawn().expect("the binary starts"))
    }

    /// Its standard error up to a line that contains this.
    #[track_caller]
    fn expect(&mut self, part: &str) -> String {
        let lines = BufReader::new(self.0.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut seen = String::new();
        for line in lines {
            seen += &(line + "\n");
            if seen.contains(part) {
                return seen;
            }
        }
        panic!("{part:?} is not in {seen:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_variable_is_checked_and_named() {
    for driver in Driver::ALL {
        for (variable, value, says) in [
            ("CHAT_PORT", "x", "\"x\" is not a port"),
            ("CHAT_PEER", "127.0.0.1:1,nowhere", "\"nowhere\": an address ends with a port"),
            ("CHAT_UNAME", " ", "\" \": a name must not be empty"),
            ("CHAT_BIND", "localhost", "\"localhost\" is not an IP address"),
            ("CHAT_API_PORT", "-1", "\"-1\" is not a port"),
            ("CHAT_API_TOKEN_FILE", "/", "\"/\" does not name a file"),
            ("CHAT_API_HOST", "a,http://x", "\"http://x\": a name or an IP address is expected"),
            ("CHAT_NO_API", "maybe", "\"maybe\" is neither 1 nor 0"),
            ("CHAT_ADVERTISE", "0.0.0.0:1", "no peer can connect to that address"),
            ("CHAT_TRUST_LOOPBACK", "maybe", "\"maybe\" is neither 1 nor 0"),
            ("CHAT_PEER", "bob@127.0.0.1:1", "a node is named by its whole id"),
            ("CHAT_PLAINTEXT", "on", "\"on\" is none of off, loopback and allow"),
            ("CHAT_DEGREE", "none", "\"none\" is not a number of links"),
            ("CHAT_VERBOSE", "very", "\"very\" is not a number"),
            ("CHAT_QUIET", "-1", "\"-1\" is not a number"),
            ("CHAT_OUTPUT", "xml", "\"xml\" is neither text nor json"),
            ("CHAT_LOG_FORMAT", "xml", "\"xml\" is neither text nor json"),
            ("CHAT_TIME_FORMAT", "%", "\"%\": not a format of times: "),
            ("CHAT_EXIT_WHEN_DONE", "maybe", "\"maybe\" is neither 1 nor 0"),
            ("CHAT_CONFIG", "/", "\"/\" does not name a file"),
            ("RUST_LOG", "a=b=c", "\"a=b=c\": "),
        ] {
            let output = run(driver, &[(variable, value)]);
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{variable}");
            assert!(err.starts_with(&format!("{}: {variable}: ", driver.name())), "{err:?}");
            assert!(err.contains(says) && err.lines().count() == 1, "{err:?}");
        }
    }
}

#[test]
fn every_variable_is_heard() {
    for driver in Driver::ALL {
        let alice = Launch::new(driver, "Alice").start();
        let data = tempfile::tempdir().unwrap();
        let token = data.path().join("token");
        let env = [
            ("CHAT_DATA_DIR", data.path().to_str().unwrap()),
            ("CHAT_PORT", "0"),
            ("CHAT_PEER", &format!("127.0.0.1:1, {}", alice.addr())),
            ("CHAT_UNAME", "Zed"),
            ("CHAT_BIND", "127.0.0.2"),
            ("CHAT_API_PORT", "0"),
            ("CHAT_API_TOKEN_FILE", token.to_str().unwrap()),
            ("CHAT_API_HOST", "chat.example.org, localhost:9000"),
            ("CHAT_ADVERTISE", "127.0.0.9:9"),
            ("CHAT_QUIET", ""),
        ];
        let mut zed = Node::start(driver, &env, &[]);
        let said = zed.expect("Alice joined");
        assert!(said.contains("Zed listens on 127.0.0.2:"), "{said}");
        assert!(said.contains("http://127.0.0.1:"), "{said}");
        alice.expect_peers(&["Zed"], tests::journal::SOON);
        assert_eq!(alice.peers()[0]["listen_addr"], "127.0.0.9:9");
        assert!(data.path().join("0/key.pem").is_file() && token.is_file());
    }
}

#[test]
fn a_flag_is_more_than_its_variable() {
    for driver in Driver::ALL {
        let env = [("CHAT_PORT", "x"), ("CHAT_UNAME", ""), ("CHAT_NO_API", "1"), ("CHAT_VERBOSE", "2")];
        let mut node = Node::start(driver, &env, &["--port", "0", "--uname", "Ann"]);
        let said = node.expect("Ann listens on 127.0.0.1:");
        assert!(!said.contains("http://"), "{said}");
    }
}

#[test]
fn a_node_at_any_port_keeps_no_key_unless_it_is_told_where() {
    for driver in Driver::ALL {
        let home = tempfile::tempdir().unwrap();
        let env = [("HOME", home.path().to_str().unwrap()), ("CHAT_PORT", "0"), ("CHAT_UNAME", "Ann")];
        let said = Node::start(driver, &env, &[]).expect("Ann listens on 127.0.0.1:");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
