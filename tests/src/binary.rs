//! Where the binaries of the drivers are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::SystemTime;

/// What the binaries are made of.
const SOURCES: [&str; 6] =
    ["proto-core", "driver-common", "driver-tokio", "driver-smol", "Cargo.toml", "Cargo.lock"];

/// The binary of this name, of the profile that this test was built with.
///
/// `cargo test` builds binaries for their own packages alone. Where one is missing or older than its source, Cargo
/// builds them now.
///
/// # Panics
/// When they cannot be built.
pub fn path(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let folder = folder();
    BUILT.call_once(|| {
        if !["chat-tokio", "chat-smol"].into_iter().all(|name| is_up_to_date(&folder.join(name))) {
            build(&folder, &["--package", "driver-tokio", "--package", "driver-smol", "--bins"]);
        }
    });
    folder.join(name)
}

/// The example of this name of the package `proto-core`. `cargo test --workspace` has built it; otherwise Cargo does now.
///
/// # Panics
/// When it cannot be built.
pub fn example(name: &str) -> PathBuf {
    let folder = folder();
    let path = folder.join("examples").join(name);
    if !is_up_to_date(&path) {
        build(&folder, &["--package", "proto-core", "--example", name]);
    }
    path
}

/// `target/PROFILE`: a test is in `target/PROFILE/deps`.
pub(crate) fn folder() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    test.parent().and_then(Path::parent).expect("the folder of the profile").to_owned()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Builds what these arguments of `cargo build` name, with the profile of this test and in its place.
fn build(folder: &Path, what: &[&str]) {
    let name = folder.file_name().and_then(|name| name.to_str()).expect("the name of the profile");
    let profile = if name == "debug" { "dev" } else { name };
    let target = folder.parent().expect("the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["build", "--quiet", "--profile", profile]).args(what);
    let status = cargo.arg("--target-dir").arg(target).status().expect("Cargo starts");
    assert!(status.success(), "{what:?} cannot be built");
}

/// Whether what was built is there and newer than its source.
fn is_up_to_date(built: &Path) -> bool {
    let newest = SOURCES.iter().map(|source| newest(&workspace().join(source))).max();
    Some(modified(built)) > newest
}

/// When the newest file in a folder was changed.
fn newest(path: &Path) -> SystemTime {
    let Ok(entries) = fs::read_dir(path) else { return modified(path) };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.map(|path| newest(&path)).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When a file was last changed; long ago where there is none.
fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
