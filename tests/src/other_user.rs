//! Another user of this machine, whom root can become.

use std::io::{self, Write};
use std::thread;

/// The numbers of two users who own nothing here.
pub const OTHERS: [u32; 2] = [54_321, 54_322];

/// Runs this as the user of this number. `None` if this process cannot become another user, unless
/// `CHAT_REQUIRE_OTHER_USER` is set.
///
/// # Panics
/// When another user is required, or when `work` panics.
#[track_caller]
pub fn run_as<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> Option<T> {
    let become_and_work = || become_user(uid).map(|()| work());
    let done = thread::scope(|scope| scope.spawn(become_and_work).join());
    match done {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            let required = std::env::var_os("CHAT_REQUIRE_OTHER_USER").is_some_and(|value| !value.is_empty());
            assert!(
                !required,
                "CHAT_REQUIRE_OTHER_USER is set, and this process cannot become another user: {error}"
            );
            // Past the test harness, which keeps what a passed test prints to itself.
            let note = format!("a test with another user did not run: {error} (it needs root)\n");
            let _ = io::stderr().write_all(note.as_bytes());
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes this thread one of another user. Linux knows users of threads; the rest of the process stays who it is.
#[cfg(target_os = "linux")]
fn become_user(uid: u32) -> io::Result<()> {
    let uid = rustix::thread::Uid::from_raw(uid);
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

#[cfg(not(target_os = "linux"))]
fn become_user(_: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
