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
        private_folder(&folder);
        for (content, permissions, says) in [
            ("nonsense", 0o600, "not an Ed25519 key file"),
            ("nonsense", 0o644, "written by other users (mode 644)"),
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
fn what_is_in_the_place_of_the_key_is_named_and_no_key_is_made() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let port = ports::reserve();
        let file = data.path().join(port.to_string()).join("key.pem");
        private_folder(file.parent().unwrap());
        fs::create_dir(&file).unwrap();
        let ended = refused(driver, port, data.path());
        assert!(ended.err.contains(&format!("{} is a folder, not a file", text(&file))), "{ended:?}");
        fs::remove_dir(&file).unwrap();
        // Nobody ever writes to it.
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let ended = refused(driver, port, data.path());
        assert!(ended.err.contains(&format!("{} is a FIFO, not a file", text(&file))), "{ended:?}");
    });
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let port = ports::reserve();
        let folder = data.path().join(port.to_string());
        private_folder(&folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        let ended = refused(driver, port, data.path());
        let says = format!("{} can be written by other users (mode 770)", text(&folder));
        assert!(ended.err.contains(&says), "{ended:?}");
        assert!(!folder.join("key.pem").exists());
    });
}

#[test]
fn a_token_is_made_for_the_user_and_refused_where_others_can_read_it() {
    Driver::each(|driver| {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("token");
        let alice = Launch::new(driver, "Alice").args(["--api-token-file", text(&file)]).start();
        alice.expect_err(&[&format!("token in {}", text(&file))], SOON);
        assert_eq!(mode(&file), 0o600);
        drop(alice);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let ended = run(driver, &["--port", "0", "--api-token-file", text(&file)]);
        assert!(ended.code == Some(1) && ended.err.contains("--api-token-file: "), "{ended:?}");
        assert!(ended.err.contains("can be read or written by other users (mode 644)"), "{ended:?}");
    });
}

/// Makes a folder that only its owner can use, whatever the umask is.
fn private_folder(folder: &Path) {
    fs::create_dir(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
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

/// How often this is found in the memory that a process can write.
#[cfg(target_os = "linux")]
fn copies(process: u32, needle: &[u8]) -> usize {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let regions = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        rest.starts_with("rw").then(|| (number(start), number(end)))
    });
    let mut copies = 0;
    for (start, end) in regions {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // A region may have gone since.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            copies += memchr::memmem::find_iter(&bytes, needle).count();
        }
    }
    copies
}

#[cfg(target_os = "linux")]
#[test]
fn the_key_is_in_memory_once_and_of_its_file_nothing_is() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    Driver::each(|driver| {
        let data = TempDir::new().unwrap();
        let launch = Launch::new(driver, "Alice").args(["--data-dir", text(data.path())]);
        let file = data.path().join(launch.addr().port().to_string()).join("key.pem");
        // At the first start the key is made and written, at the second it is read.
        for _ in 0..2 {
            let alice = launch.start();
            let pem = fs::read_to_string(&file).unwrap();
            let base64 = pem.lines().nth(1).unwrap();
            let der = STANDARD.decode(base64).unwrap();
            assert_eq!(copies(alice.id(), base64.as_bytes()), 0, "as it is in the file");
            assert_eq!(copies(alice.id(), &der), 0, "decoded");
            alice.send("signed");
            assert_eq!(copies(alice.id(), &der[der.len() - 32..]), 1, "the node signs with it");
        }
    });
}
