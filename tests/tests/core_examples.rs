//! The examples of the core do what they say.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use tests::journal::SOON;
use tests::process::{Driver, Launch, read_lines};
use tests::{binary, ports};

#[test]
fn two_nodes_in_memory_hear_each_other() {
    let output = Command::new(binary::example("in_memory")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8(output.stdout).unwrap();
    for heard in ["Bob hears Alice: Hello, Bob!", "Alice hears Bob: Hello, Alice!"] {
        assert_eq!(out.lines().filter(|line| line.ends_with(heard)).count(), 1, "{out}");
    }
}

#[test]
fn a_node_on_blocking_sockets_talks_with_those_of_the_drivers() {
    let example = binary::example("blocking");
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        let port = ports::reserve().to_string();
        let mut command = Command::new(&example);
        command.args([&port, "Simple", &alice.addr().to_string()]);
        let mut simple =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut input = simple.stdin.take().unwrap();
        let out = read_lines(simple.stdout.take().unwrap());
        alice.expect_peers(&["Bob", "Simple"], SOON);
        bob.expect_peers(&["Alice", "Simple"], SOON);

        let said: Vec<_> = (0..1_000).map(|n| format!("line {n}")).collect();
        input.write_all((said.join("\n") + "\n").as_bytes()).unwrap();
        alice.type_bytes((said.join("\n") + "\n").as_bytes());
        let heard = |name: &str| said.iter().map(|text| format!("{name}: {text}")).collect::<Vec<_>>();
        for (lines, name) in [(alice.out(), "Simple"), (&out, "Alice")] {
            lines.expect("everything", SOON, |lines| (lines.len() >= said.len()).then_some(()));
            assert_eq!(lines.all(), heard(name));
        }

        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap())).is_ok());
        drop(input);
        alice.expect_peers(&["Bob"], SOON);
        assert!(out.ended(SOON));
        assert!(simple.wait().unwrap().success());
    });
}
