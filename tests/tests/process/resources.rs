//! A node that cannot have a thread or a file descriptor: it says so, and goes on where it can.

use std::time::Duration;

use rustix::process::Signal;
use tests::journal::SOON;
use tests::process::limit::{Limit, limits_bind};
use tests::process::{Driver, Launch, run_under};
use tests::pty::OnTerminal;
use tests::raw::RawPeer;

#[test]
fn too_few_file_descriptors_at_the_start_are_one_line_and_code_1() {
    Driver::each(|driver| {
        for most in [5, 8, 12, 16, 24, 34] {
            let ended = run_under(Limit::Descriptors(most), driver, &["--port", "0"]);
            assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{most}: {ended:?}");
            assert_eq!(ended.err.lines().count(), 1, "{most}: {ended:?}");
            assert!(
                ["file descriptors", "ulimit -n"].iter().all(|part| ended.err.contains(part)),
                "{ended:?}"
            );
        }
        let enough = Launch::new(driver, "Alice").limit(Limit::Descriptors(64)).start();
        let _peer = RawPeer::join(enough.addr(), "Visitor");
        enough.expect_peers(&["Visitor"], SOON);
    });
}

#[test]
fn no_thread_at_the_start_is_one_line_and_code_1() {
    if !limits_bind() {
        eprintln!("not run: root cannot become another user here");
        return;
    }
    Driver::each(|driver| {
        let ended = run_under(Limit::Threads(0), driver, &["--port", "0"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
        assert!(ended.err.contains("thread") && ended.err.contains("ulimit -u"), "{ended:?}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_cannot_be_had_is_a_failed_dial_and_holds_up_no_end() {
    if !limits_bind() {
        eprintln!("not run: root cannot become another user here");
        return;
    }
    Driver::each(|driver| {
        let alice = Launch::new(driver, "Alice").start();
        let name = format!("localhost:{}", alice.addr().port());
        let mut bob = OnTerminal::unprivileged(driver, "Bob").start();
        let addr = bob.addr();
        bob.expect_prompt("");
        bob.allow_threads(false);
        bob.keys(&format!("/connect {name}\r"));
        bob.expect("that the dial failed", |screen| {
            screen.lines.iter().any(|line| line.contains(&format!("cannot reach {name}"))).then_some(())
        });
        let _visitor = RawPeer::join(addr, "Visitor");
        bob.expect_line("* Visitor joined");
        // It is dialed again, and then there is a thread.
        bob.allow_threads(true);
        alice.expect_peers(&["Bob"], 5 * Duration::from_secs(8));
        bob.allow_threads(false);
        bob.signal(Signal::TERM);
        assert_eq!(bob.expect_end().code(), Some(0));
    });
}
