//! What the process writes to files, and when it makes sure that the disk has it. The functions here take the place of
//! those of the C library, for SQLite and for Rust's own files.

use std::ffi::{c_int, c_void};
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What happened to a file.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate { length: u64 },
    Sync,
}

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// File names in the folder. The folder itself has an empty name.
    pub(super) ops: Vec<(String, Op)>,
}

/// Calls that fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fail {
    /// The first one that fails, counted from 0.
    pub(super) first: usize,
    /// How many fail.
    pub(super) count: usize,
    /// What it reports.
    pub(super) errno: i32,
}

#[derive(Default)]
struct Recorder {
    folder: Option<PathBuf>,
    log: Log,
    calls: usize,
    fail: Option<Fail>,
}

static ON: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);

fn recorder() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records what happens in a folder from now on. Some calls may fail.
pub(super) fn start(folder: &Path, fail: Option<Fail>) {
    let folder = fs::canonicalize(folder).ok();
    *recorder() = Some(Recorder { folder, fail, ..Recorder::default() });
    ON.store(true, Ordering::SeqCst);
}

/// What happened since.
pub(super) fn stop() -> Log {
    ON.store(false, Ordering::SeqCst);
    recorder().take().map(|recorder| recorder.log).unwrap_or_default()
}

/// How much happened so far.
pub(super) fn position() -> usize {
    recorder().as_ref().map_or(0, |recorder| recorder.log.ops.len())
}

/// How many calls there were so far.
pub(super) fn calls() -> usize {
    recorder().as_ref().map_or(0, |recorder| recorder.calls)
}

/// Whether this call is to fail.
fn note(fd: c_int, op: impl FnOnce() -> Op) -> Option<i32> {
    if !ON.load(Ordering::SeqCst) {
        return None;
    }
    let path = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    let mut recorder = recorder();
    let recorder = recorder.as_mut()?;
    let folder = recorder.folder.as_ref()?;
    let name = if path == *folder {
        String::new()
    } else if path.parent() == Some(folder) {
        path.file_name()?.to_str()?.to_owned()
    } else {
        return None;
    };
    let call = recorder.calls;
    recorder.calls += 1;
    if let Some(fail) = recorder.fail
        && (fail.first..fail.first + fail.count).contains(&call)
    {
        return Some(fail.errno);
    }
    recorder.log.ops.push((name, op()));
    None
}

fn fails(errno: i32) -> c_int {
    set_errno(errno);
    -1
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

fn set_errno(errno: i32) {
    // SAFETY: the C library gives each thread a place for it.
    unsafe { *__errno_location() = errno };
}

fn result(done: rustix::io::Result<()>) -> c_int {
    done.map_or_else(|error| fails(error.raw_os_error()), |()| 0)
}

/// # Safety
/// As for the function of the C library.
unsafe fn written(fd: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    // SAFETY: the caller passes an open descriptor and a readable buffer.
    let (fd_borrowed, bytes) =
        unsafe { (BorrowedFd::borrow_raw(fd), std::slice::from_raw_parts(bytes.cast::<u8>(), length)) };
    let offset = offset.cast_unsigned();
    if let Some(errno) = note(fd, || Op::Write { offset, bytes: bytes.to_vec() }) {
        return fails(errno) as isize;
    }
    match rustix::io::pwrite(fd_borrowed, bytes, offset) {
        Ok(count) => count.cast_signed(),
        Err(error) => fails(error.raw_os_error()) as isize,
    }
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    // SAFETY: the same.
    unsafe { written(fd, bytes, length, offset) }
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    // SAFETY: the same.
    unsafe { written(fd, bytes, length, offset) }
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    if let Some(errno) = note(fd, || Op::Sync) {
        return fails(errno);
    }
    // SAFETY: the caller passes an open descriptor.
    result(rustix::fs::fsync(unsafe { BorrowedFd::borrow_raw(fd) }))
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    if let Some(errno) = note(fd, || Op::Sync) {
        return fails(errno);
    }
    // SAFETY: the caller passes an open descriptor.
    result(rustix::fs::fdatasync(unsafe { BorrowedFd::borrow_raw(fd) }))
}

/// # Safety
/// As for the function of the C library.
unsafe fn truncated(fd: c_int, length: i64) -> c_int {
    let length = length.cast_unsigned();
    if let Some(errno) = note(fd, || Op::Truncate { length }) {
        return fails(errno);
    }
    // SAFETY: the caller passes an open descriptor.
    result(rustix::fs::ftruncate(unsafe { BorrowedFd::borrow_raw(fd) }, length))
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    // SAFETY: the same.
    unsafe { truncated(fd, length) }
}

/// # Safety
/// As for the function of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    // SAFETY: the same.
    unsafe { truncated(fd, length) }
}
