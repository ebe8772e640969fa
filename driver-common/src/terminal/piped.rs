//! Standard input where there is no prompt: every line is said as it is.

use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;

use super::lines::{BadLine, Lines};
use super::speaker::Speaker;

/// Bytes read at once; the lines among them are said in one call.
const READ: usize = 64 * 1024;

/// How long an input that was made non-blocking is left alone when it has nothing.
const RETRY: Duration = Duration::from_millis(20);

/// Says what comes from standard input until it ends, which changes nothing else.
pub(crate) fn start(speaker: Speaker) -> io::Result<()> {
    thread::Builder::new().name("stdin".to_owned()).spawn(move || say_all(Stdin, &speaker))?;
    Ok(())
}

/// Unbuffered: [`say_all`] has a buffer.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

fn say_all(mut input: impl Read, speaker: &Speaker) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; READ];
    loop {
        let (mut texts, mut bad) = (Vec::new(), Vec::new());
        let read = match input.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(RETRY);
                continue;
            }
            Err(error) => {
                speaker.notify(&format!("standard input can no longer be read: {error}"));
                0
            }
        };
        if read == 0 {
            lines.end(&mut texts, &mut bad);
        } else {
            lines.push(&buffer[..read], &mut texts, &mut bad);
        }
        for BadLine { number, error } in bad {
            speaker.notify(&format!("line {number} was not sent: {error}"));
        }
        if !texts.is_empty() && !block_on(speaker.say(texts)) || read == 0 {
            return;
        }
    }
}
