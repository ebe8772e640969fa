//! Checks at the start that the operating system provides what a node needs. Some runtimes panic instead of returning
//! an error.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use super::AppError;

/// The number of file descriptors that a node needs besides its standard streams: about a dozen of its own and some for
/// connections.
const DESCRIPTORS: usize = 32;

/// Checks that enough file descriptors are free.
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

/// Checks that one more thread can be started.
pub(super) fn check_thread() -> Result<(), AppError> {
    let thread = thread::Builder::new().spawn(|| ()).map_err(|error| no_thread(&error))?;
    thread.join().map_err(|_| AppError("a thread panicked".to_owned()))
}

/// The error of a node that cannot start a thread.
pub(super) fn no_thread(error: &io::Error) -> AppError {
    AppError(format!("no thread can be started: {error} (see ulimit -u)"))
}
