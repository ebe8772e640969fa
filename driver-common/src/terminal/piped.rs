//! Standard input without a prompt: every line is sent as it is. And standard output, whose end ends the node.

use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use async_channel::Sender;
use futures_lite::future::block_on;
use rustix::event::{PollFd, PollFlags, poll};

use super::lines::{BadLine, Lines};
use super::speaker::Speaker;

/// The maximum number of bytes read at once. Their lines are sent in one call.
const READ: usize = 64 * 1024;

/// The pause before reading again from a non-blocking input that has no data.
const RETRY: Duration = Duration::from_millis(20);

/// Starts to send the lines of standard input. The node keeps running when the input ends. With `quit`, it ends when a peer
/// holds all that was said.
pub(crate) fn start(speaker: Speaker, quit: Option<Sender<()>>) -> io::Result<()> {
    let last = quit.is_some();
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut input = Stdin;
        let mut lines = Lines::default();
        while say_all(&mut input, &mut lines, &speaker) && !last && fifo::wait_for_writer() {
            // The next writer's text begins anew.
            lines = Lines::default();
        }
        if let Some(quit) = quit {
            // It fails if the node has stopped.
            if block_on(speaker.handle.confirm()).is_ok() {
                // If the channel is full, the user has asked before.
                let _ = quit.try_send(());
            }
        }
    })?;
    Ok(())
}

/// Ends the node when whoever reads standard output has gone, as `head` does after some lines.
pub(crate) fn watch_output(quit: Sender<()>) -> io::Result<()> {
    thread::Builder::new().name("stdout-watch".to_owned()).spawn(move || {
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        loop {
            let mut stdout = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::empty())];
            match poll(&mut stdout, None) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) if stdout[0].revents().intersects(gone) => {
                    // If the channel is full, the user has asked before.
                    let _ = quit.try_send(());
                    return;
                }
                // It cannot be watched. Then a failed write shows it.
                _ => return,
            }
        }
    })?;
    Ok(())
}

/// Unbuffered, since [`say_all`] has its own buffer.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

/// Says all lines up to the end of the input. False: the node has stopped, or the input cannot be read.
fn say_all(input: &mut impl Read, lines: &mut Lines, speaker: &Speaker) -> bool {
    let mut buffer = vec![0; READ];
    loop {
        let (mut texts, mut bad) = (Vec::new(), Vec::new());
        let read = match input.read(&mut buffer) {
            Ok(read) => Some(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(RETRY);
                continue;
            }
            Err(error) => {
                speaker.warn(&format!("standard input can no longer be read: {error}"));
                None
            }
        };
        match read {
            None | Some(0) => lines.end(&mut texts, &mut bad),
            Some(read) => lines.push(&buffer[..read], &mut texts, &mut bad),
        }
        for BadLine { number, error } in bad {
            speaker.warn(&format!("line {number} was not sent: {error}"));
        }
        if !texts.is_empty() && !block_on(speaker.say(texts)) {
            return false;
        }
        match read {
            None => return false,
            Some(0) => return true,
            Some(_) => {}
        }
    }
}

/// A FIFO with a name as standard input: when one writer has closed it, the next one may open it.
mod fifo {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::fs::{FileType, Mode, OFlags, fstat, open};
    use rustix::io::Errno;
    use rustix::stdio::stdin;

    /// Waits until another writer has written something. False: standard input is no FIFO with a name.
    pub(super) fn wait_for_writer() -> bool {
        if !has_name() {
            return false;
        }
        // While this process has it open for writing, it has no end, and waiting costs nothing.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(_keeper) = open("/dev/stdin", flags, Mode::empty()) else { return false };
        loop {
            let mut input = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
            match poll(&mut input, None) {
                Err(Errno::INTR) => {}
                Ok(_) => return input[0].revents().contains(PollFlags::IN),
                Err(_) => return false,
            }
        }
    }

    fn has_name() -> bool {
        let is_fifo =
            fstat(stdin()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode as _) == FileType::Fifo);
        is_fifo && !is_pipe()
    }

    /// Whether it is a pipe without a name.
    #[cfg(target_os = "linux")]
    fn is_pipe() -> bool {
        const PIPEFS_MAGIC: u64 = 0x5049_5045;
        rustix::fs::fstatfs(stdin()).is_ok_and(|stat| stat.f_type as u64 == PIPEFS_MAGIC)
    }

    /// Whether it is a pipe without a name. Nothing links to it.
    #[cfg(not(target_os = "linux"))]
    fn is_pipe() -> bool {
        fstat(stdin()).is_ok_and(|stat| stat.st_nlink == 0)
    }
}
