//! The cases of the Autobahn test suite, which `kosoku` runs against an echo service on the API's own protocol code.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use driver_common::api::{ApiLimits, WebSocketProtocol};
use tests::process::read_lines;
use tungstenite::handshake::derive_accept_key;

/// What the API does not do: it never negotiates an extension, so there is no compression (RFC 7692) to test.
const LEFT_OUT: [&str; 2] = ["12.*", "13.*"];
/// The longest message of the cases is 16 MiB.
const LONGEST: usize = 32 * 1024 * 1024;
/// Far more than all cases take.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Serves one client: whatever it says it hears.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let early = shake_hands(&mut stream)?;
    let mut limits = ApiLimits::default();
    limits.message = LONGEST;
    let mut protocol = WebSocketProtocol::new(&limits, Instant::now());
    protocol.received(&early, Instant::now());
    let mut chunk = vec![0; 64 * 1024];
    loop {
        while let Some(message) = protocol.next(Instant::now()) {
            protocol.send(message);
        }
        let output = protocol.output();
        if !output.is_empty() {
            let count = stream.write(output)?;
            protocol.written(count);
        } else if protocol.has_ended() {
            return Ok(());
        } else {
            let wait = protocol.deadline().saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => protocol.received(&chunk[..count], Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !protocol.timeout(Instant::now()) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The opening handshake. Returns what came after it.
fn shake_hands(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    let end = loop {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    Ok(bytes.split_off(end))
}

#[test]
fn every_case_of_autobahn_passes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let reports = tempfile::tempdir().unwrap();
    let mut command = Command::new("kosoku");
    command.args(["--mode", "fuzzingclient", "--parallelism", "4", "--outdir"]).arg(reports.path());
    command.args(LEFT_OUT.iter().flat_map(|cases| ["--exclude", cases]));
    command.arg(addr.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut kosoku = match command.spawn() {
        Ok(kosoku) => kosoku,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let required = env::var_os("CHAT_REQUIRE_KOSOKU").is_some_and(|value| !value.is_empty());
            assert!(!required, "CHAT_REQUIRE_KOSOKU is set, and kosoku is missing");
            // Past the test harness, which keeps what a passed test prints to itself.
            let note = "the WebSocket conformance test did not run: kosoku is missing\n";
            let _ = io::stderr().write_all(note.as_bytes());
            return;
        }
        Err(error) => panic!("kosoku does not start: {error}"),
    };
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that breaks off is what many cases are about.
            thread::spawn(move || echo(stream));
        }
    });
    let (out, err) = (read_lines(kosoku.stdout.take().unwrap()), read_lines(kosoku.stderr.take().unwrap()));
    if !out.ended(TIMEOUT) {
        let _ = kosoku.kill();
    }
    let status = kosoku.wait().unwrap();
    assert!(status.success(), "{status}\n{out:?}\n{err:?}");
    // It counts what it ran: none left out but those named above.
    let passed = out.look(|lines| {
        lines.iter().find_map(|line| line.strip_suffix(" cases passed")?.parse::<usize>().ok())
    });
    assert_eq!(passed, Some(CASES), "{out:?}");
}

/// All cases of Autobahn but those of compression.
const CASES: usize = 301;
