//! Standard input without a prompt: every line is sent as it is.

use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;

use super::lines::{BadLine, Lines};
use super::speaker::Speaker;

/// The maximum number of bytes read at once. Their lines are sent in one call.
const READ: usize = 64 * 1024;

/// The pause before reading again from a non-blocking input that has no data.
const RETRY: Duration = Duration::from_millis(20);

/// Starts to send the lines of standard input. The node keeps running when the input ends.
pub(crate) fn start(speaker: Speaker) -> io::Result<()> {
    thread::Builder::new().name("stdin".to_owned()).spawn(move || say_all(Stdin, &speaker))?;
    Ok(())
}

/// Unbuffered, since [`say_all`] has its own buffer.
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
