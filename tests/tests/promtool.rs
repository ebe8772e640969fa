//! Prometheus' own checker has nothing to say about `/metrics`.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use tests::http;
use tests::journal::SOON;
use tests::process::{Driver, Launch};

#[test]
fn promtool_finds_nothing() {
    for driver in Driver::ALL {
        let alice = Launch::new(driver, "Alice").start();
        let bob = Launch::new(driver, "Bob").peer(alice.addr()).start();
        bob.expect_peers(&["Alice"], SOON);
        let metrics = http::get(alice.api(), "/metrics").unwrap();
        for name in
            ["chat_build_info{version=", "process_start_time_seconds ", "process_resident_memory_bytes "]
        {
            let there = metrics.body.lines().any(|line| line.starts_with(name));
            assert!(there || !cfg!(target_os = "linux"), "{name} is not in\n{}", metrics.body);
        }
        let mut command = Command::new("promtool");
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut promtool = match command.spawn() {
            Ok(promtool) => promtool,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let required =
                    std::env::var_os("CHAT_REQUIRE_PROMTOOL").is_some_and(|value| !value.is_empty());
                assert!(!required, "CHAT_REQUIRE_PROMTOOL is set, and promtool is missing");
                // Past the test harness, which keeps what a passed test prints to itself.
                let note = "the test of the metrics did not run: promtool is missing\n";
                let _ = io::stderr().write_all(note.as_bytes());
                return;
            }
            Err(error) => panic!("promtool does not start: {error}"),
        };
        promtool.stdin.take().unwrap().write_all(metrics.body.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    }
}
