//! What a node needs of the operating system at its start. It is checked first, since not every runtime returns an error
//! where something is missing.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use super::AppError;

/// File descriptors that a node needs beside its standard streams: about a dozen of its own, and some for connections.
const DESCRIPTORS: usize = 32;

/// Fails where there are too few file descriptors.
pub(super) fn check_descriptors() -> Result<(), AppError> {
    let mut open = Vec::with_capacity(DESCRIPTORS);
    while open.len() < DESCRIPTORS {
        match io::stdin().as_fd().try_clone_to_owned() {
            Ok(descriptor) => open.push(descriptor),
            Err(error) => {
                return Err(AppError(format!(
                    "a node needs {DESCRIPTORS} file descriptors, but only {} are free: {error} (see ulimit -n)",
                    open.len()
                )));
            }
        }
    }
    Ok(())
}

/// Fails where one more thread cannot be started.
pub(super) fn check_thread() -> Result<(), AppError> {
    let thread = thread::Builder::new().spawn(|| ()).map_err(|error| no_thread(&error))?;
    thread.join().map_err(|_| AppError("a thread panicked".to_owned()))
}

/// Why there is no node: a thread that it needs cannot be started.
pub(super) fn no_thread(error: &io::Error) -> AppError {
    AppError(format!("no thread can be started: {error} (see ulimit -u)"))
}
