//! What is wrong at the start is one clear line; what may yet come right is another, and on it goes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Process, run};
use tests::{ports, raw};

/// Fails unless it ended with this code, silent but for one line that contains these parts.
#[track_caller]
fn expect_refused(driver: Driver, code: i32, args: &[&str], parts: &[&str]) {
    let ended = run(driver, args);
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{args:?}: {ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{args:?}: {ended:?}");
    assert!(parts.iter().all(|part| ended.err.contains(part)), "{args:?}, {parts:?}: {ended:?}");
}

#[test]
fn bad_arguments_are_one_line_and_code_2() {
    let long = "n".repeat(65);
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--peer", "nonsense"], &["--peer", "nonsense"]),
        (&["--peer", "1.2.3:80"], &["--peer", "1.2.3:80"]),
        (&["--peer", "127.0.0.1:70000"], &["--peer", "70000"]),
        (&["--port", "65436"], &["65436", "100"]),
        (&["--port", "99999"], &["--port", "99999"]),
        (&["--bind", "here"], &["--bind", "here"]),
        (&["--uname", &long], &["--uname", "64"]),
        (&["--uname", ""], &["--uname", "empty"]),
        (&["--nonsense"], &["--nonsense"]),
    ];
    Driver::each(|driver| {
        cases.iter().for_each(|(args, parts)| expect_refused(driver, 2, args, parts));
        expect_refused(driver, 1, &["--port", "0", "--bind", "192.0.2.1"], &["192.0.2.1"]);
    });
}

#[test]
fn a_port_that_is_taken_is_one_line_and_code_1() {
    Driver::each(|driver| {
        let [port, below] = [(); 2].map(|()| ports::reserve());
        let api = below + ports::API;
        let _taken = [port, api].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        let [port, below, api] = [port, below, api].map(|port| port.to_string());
        expect_refused(driver, 1, &["--port", &port], &[&port, "already in use"]);
        expect_refused(driver, 1, &["--port", &below], &[&api, "already in use"]);
    });
}

#[test]
fn help_and_version_are_shown_with_code_0() {
    Driver::each(|driver| {
        let help = run(driver, &["--help"]);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
        for flag in [
            "--port",
            "--peer",
            "--uname",
            "--bind",
            "--api-port",
            "--no-api",
            "--advertise",
            "--trust-loopback",
            "--plaintext",
            "-v",
            "-q",
        ] {
            assert!(help.out.contains(flag), "{flag}: {}", help.out);
        }
        let version = run(driver, &["--version"]);
        assert_eq!((version.code, version.out.lines().count()), (Some(0), 1));
    });
}

/// Whether the node still does its work: a peer can join it.
#[track_caller]
fn expect_working(node: &Process) {
    let _peer = raw::RawPeer::join(node.addr(), "Visitor");
    node.expect_peers(&["Visitor"], SOON);
}

#[test]
fn a_peer_that_is_oneself_is_told_and_dialed_no_more() {
    Driver::each(|driver| {
        for host in ["127.0.0.1", "localhost"] {
            let launch = Launch::new(driver, "Alice");
            let own = format!("{host}:{}", launch.addr().port());
            let alice = launch.peer(&own).start();
            alice.expect_err(&[&own], SOON);
            expect_working(&alice);
            let told = alice.err().look(|lines| lines.iter().filter(|line| line.contains(&own)).count());
            // The line that tells where it listens may name it too.
            assert!(told <= 2, "{:#?}", alice.err());
        }
    });
}

/// Answers each connection in its own way, for the rest of the test.
fn server(answer: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    addr
}

fn http(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
    let _ =
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbad\n");
}

fn garbage(mut stream: TcpStream) {
    let bytes: Vec<u8> = (0..=255).cycle().take(8_000).filter(|byte| *byte != b'\n').collect();
    let _ = stream.write_all(&bytes);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn ssh(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn silent(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn what_is_no_chat_node_is_told_once_and_dialed_on() {
    for (what, addr, told) in [
        ("an HTTP server", server(http), "chat node"),
        ("garbage", server(garbage), "chat node"),
        ("an SSH server", server(ssh), "chat node"),
        ("silence", server(silent), "no answer in time"),
    ] {
        let addr = addr.to_string();
        Driver::each(|driver| {
            let alice = Launch::new(driver, "Alice").peer(&addr).start();
            let line = alice.expect_err(&[&addr], 5 * Duration::from_secs(15));
            assert!(line.contains(told), "{what}: {line}");
            expect_working(&alice);
            let told = alice.err().look(|lines| lines.iter().filter(|line| line.contains(&addr)).count());
            assert_eq!(told, 1, "{what}:\n{:?}", alice.err());
        });
    }
}

/// What could be a node at a bad moment, or this one: what it is taken for does not matter.
#[test]
fn an_echo_and_one_that_hangs_up_are_told_and_do_no_harm() {
    let echo = server(|stream| {
        let mut to = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut &stream, &mut to);
    });
    for addr in [echo, server(drop)] {
        let addr = addr.to_string();
        Driver::each(|driver| {
            let alice = Launch::new(driver, "Alice").peer(&addr).start();
            alice.expect_err(&[&addr], SOON);
            expect_working(&alice);
        });
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_told_and_does_no_harm() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").peer("nobody.invalid:7777").start();
        let line = alice.expect_err(&["nobody.invalid:7777"], 5 * SOON);
        assert!(line.contains("resolve") || line.contains("in time"), "{line}");
        expect_working(&alice);
    });
}

#[test]
fn a_name_with_an_address_is_dialed() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(format!("localhost:{}", alice.addr().port())).start();
        bob.expect_peers(&["Alice"], SOON);
    });
}

#[test]
fn a_bind_beyond_loopback_is_warned_of() {
    Driver::each(|driver| {
        let open = Launch::new(driver, "Alice").args(["--bind", "0.0.0.0"]).start();
        open.expect_err(&["0.0.0.0", "can join"], SOON);
        expect_working(&open);
        let closed = Launch::new(driver, "Bob").start();
        assert!(closed.err().look(|lines| lines.iter().all(|line| !line.contains("can join"))));
    });
}

#[test]
fn a_peer_on_loopback_makes_an_open_node_dial_this_machine_only_if_loopback_is_trusted() {
    Driver::each(|driver| {
        for (args, trusted) in [
            (&[][..], true),
            (&["--bind", "0.0.0.0"], false),
            (&["--advertise", "9.9.9.9:8080"], false),
            (&["--bind", "0.0.0.0", "--trust-loopback"], true),
        ] {
            let alice = Launch::new(driver, "Alice").args(args.iter().copied()).start();
            let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let (peer, _) = raw::RawPeer::join(alice.addr(), "Proxy");
            let addr = service.local_addr().unwrap();
            peer.send(format!("PEERS|{{\"listen_addr\":\"{addr}\"}}\n"));
            let count = |counter: &str| {
                let status = tests::http::get(alice.api(), "/status").unwrap().json();
                status["stats"][counter].as_u64().unwrap()
            };
            eventually("the address is judged", SOON, || count("learned") + count("addresses_ignored") == 1);
            assert_eq!((count("learned") > 0, count("dials") > 0), (trusted, trusted), "{args:?}");
        }
    });
}

#[test]
fn what_is_said_to_nobody_is_told() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").start();
        alice.say("is anybody there?");
        alice.expect_err(&["nobody"], SOON);
        assert!(alice.out().is_empty());
        expect_working(&alice);
    });
}

#[test]
fn an_advertised_address_is_what_peers_hear_of() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").args(["--advertise", "203.0.113.7:4444"]).start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        assert_eq!(bob.peers()[0]["listen_addr"], "203.0.113.7:4444");
    });
}

#[test]
fn an_advertised_name_is_what_peers_hear_of_once_it_is_resolved() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").args(["--advertise", "localhost:4444"]).start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        let told = || bob.peers()[0]["listen_addr"].as_str().is_some_and(|addr| addr.ends_with(":4444"));
        eventually("the advertised port", SOON, told);
    });
}

#[test]
fn an_advertised_name_that_cannot_be_resolved_does_not_hold_up_the_start() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").args(["--advertise", "nowhere.invalid:4444"]).start();
        alice.expect_err(&["nowhere.invalid:4444", "cannot be resolved yet"], 6 * SOON);
        expect_working(&alice);
    });
}

#[test]
fn the_environment_is_read_like_the_flags() {
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let addr = alice.addr().to_string();
        let _bob = Launch::new(driver, "Bob").env("CHAT_PEER", &addr).start();
        alice.expect_peers(&["Bob"], Duration::from_secs(10));
    });
}
