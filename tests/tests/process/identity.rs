//! A node is who it was: its key outlives it, is its own, and is never used where something is wrong with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tests::journal::SOON;
use tests::ports;
use tests::process::{Driver, Ended, Launch, node_id, run};
use tests::pty::OnTerminal;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_node_that_restarts_is_the_same_node_and_one_at_another_port_is_not() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = Launch::new(driver, "Alice").args(["--data-dir", text(data.path())]);
        let folder = data.path().join(launch.addr().port().to_string());
        let mut alice = launch.start();
        let id = alice.node_id();
        assert_eq!((mode(&folder), mode(&folder.join("key.pem"))), (0o700, 0o600));
        alice.kill();
        drop(alice);
        assert_eq!(launch.start().node_id(), id);
        let other = Launch::new(driver, "Alice").args(["--data-dir", text(data.path())]).start();
        assert_ne!(other.node_id(), id);
    });
}

#[test]
fn keys_are_kept_where_the_platform_wants_them() {
    Driver::each(|driver| {
        let home = TempDir::new().unwrap();
        let launch = Launch::new(driver, "Alice").env("XDG_DATA_HOME", text(home.path()));
        let alice = launch.start();
        let folder = home.path().join("p2p-chat").join(launch.addr().port().to_string());
        assert!(folder.join("key.pem").is_file());
        assert!(alice.err().look(|lines| lines.iter().all(|line| !line.contains("key"))));
    });
}

/// Runs a node at this port and data folder that is to end by itself.
fn refused(driver: Driver, port: u16, data: &Path) -> Ended {
    let port = port.to_string();
    let ended = run(driver, &["--bind", "127.0.0.2", "--port", &port, "--no-api", "--data-dir", text(data)]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.lines().count()), (Some(1), "", 1), "{ended:?}");
    ended
}

#[test]
fn two_nodes_never_share_a_key() {
    Driver::each_pair(|[one, other]| {
        let data = TempDir::new().unwrap();
        let launch = Launch::new(one, "Alice").args(["--data-dir", text(data.path())]);
        let alice = launch.start();
        let port = launch.addr().port();
        let ended = refused(other, port, data.path());
        let folder = data.path().join(port.to_string());
        assert!(ended.err.contains(text(&folder)) && ended.err.contains("--data-dir"), "{ended:?}");
        drop(alice);
        // The lock ends with its process, however that ends.
        launch.start();
    });
}

#[test]
fn a_node_with_a_copy_of_the_key_of_the_node_that_it_dials_is_told_in_words() {
    Driver::each_pair(|[one, other]| {
        let data = TempDir::new().unwrap();
        let first = Launch::new(one, "Alice").args(["--data-dir", text(data.path())]);
        let folder = |launch: &Launch| data.path().join(launch.addr().port().to_string());
        let alice = first.start();
        let second = Launch::new(other, "Alice").args(["--data-dir", text(data.path())]).peer(alice.addr());
        fs::create_dir(folder(&second)).unwrap();
        fs::set_permissions(folder(&second), fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(folder(&first).join("key.pem"), folder(&second).join("key.pem")).unwrap();
        let copy = second.start();
        copy.expect_err(&["another node with the same key", "every ten minutes"], SOON);
        assert!(alice.peers().is_empty() && copy.peers().is_empty());
    });
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_is_refused_and_left_alone() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let port = ports::reserve();
        let folder = data.path().join(port.to_string());
        let file = folder.join("key.pem");
        fs::create_dir(&folder).unwrap();
        for (content, permissions, says) in [
            ("nonsense", 0o600, "not an Ed25519 key file"),
            ("nonsense", 0o644, "read by other users (mode 644)"),
        ] {
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(permissions)).unwrap();
            let ended = refused(driver, port, data.path());
            assert!(ended.err.contains(says) && ended.err.contains(text(&file)), "{ended:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
    });
}

#[test]
fn a_key_that_cannot_be_read_is_refused_and_no_other_is_made() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let port = ports::reserve();
        let file = data.path().join(port.to_string()).join("key.pem");
        // Whoever runs the test, this cannot be read as a file.
        fs::create_dir_all(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        let ended = refused(driver, port, data.path());
        assert!(ended.err.contains(text(&file)) && ended.err.contains("cannot be read"), "{ended:?}");
        assert_eq!(fs::read_dir(&file).unwrap().count(), 0);
    });
}

#[test]
fn at_any_free_port_a_key_is_kept_only_where_the_user_says() {
    Driver::each(|driver| {
        let [home, data] = [(); 2].map(|()| TempDir::new().unwrap());
        let at_any_port = |args: &[&str]| {
            let command = OnTerminal::new(driver, "Alice").env("XDG_DATA_HOME", text(home.path()));
            let alice = command.args(args.iter().copied()).start();
            node_id(alice.addr())
        };
        assert_ne!(at_any_port(&[]), at_any_port(&[]));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let kept = ["--data-dir", text(data.path())];
        assert_eq!(at_any_port(&kept), at_any_port(&kept));
        assert!(data.path().join("0/key.pem").is_file());
    });
}

#[test]
fn without_a_place_for_its_key_a_node_warns_once_and_runs() {
    Driver::each(|driver| {
        let mut alice = Launch::new(driver, "Alice").env("HOME", "/dev/null").start();
        let bob = Launch::new(driver, "Bob").args(["--data-dir", "/dev/null/no"]).peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        alice.say("hello");
        bob.expect_out("Alice: hello", SOON);
        for (node, place) in [(&alice, "/dev/null/.local/share/p2p-chat"), (&bob, "/dev/null/no")] {
            let warned = node
                .err()
                .look(|lines| lines.iter().filter(|line| line.contains("key cannot be stored")).count());
            assert_eq!(warned, 1, "{:?}", node.err());
            node.expect_err(&["key cannot be stored", place], SOON);
        }
    });
}
