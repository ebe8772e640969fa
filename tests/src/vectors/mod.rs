//! The test vectors of `tests/vectors`, checked: `README.md` there says what the files mean.

mod entries;
mod keys;
mod listener;
mod pieces;
mod reading;
mod received;
mod sync;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What time it is where nothing else is said: the beginning of a period of the eager tree, in milliseconds since the Unix
/// epoch.
const NOW_MS: u64 = 1_767_225_600_000;

/// The secret of the node that is spoken to, where nothing else is said.
const NODE: [u8; 32] = [11; 32];

/// The secret of the peer that speaks to it.
const PEER: [u8; 32] = [17; 32];

/// A file of vectors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    #[serde(rename = "what")]
    _what: String,
    vectors: Vec<Value>,
}

/// What every vector says.
#[derive(Deserialize)]
struct Cited {
    name: String,
    spec: String,
}

/// Why a vector does not hold.
type Failure = String;

/// Checks one vector.
type Check = fn(Value) -> Result<(), Failure>;

/// Who checks the vectors of a file.
const KINDS: [(&str, Check); 9] = [
    ("received", |vector| received::check(&parse(vector)?)),
    ("node ids", |vector| keys::check_id(&parse(vector)?)),
    ("networks", |vector| keys::check_network(&parse(vector)?)),
    ("proofs", |vector| keys::check_proof(&parse(vector)?)),
    ("entries", |vector| entries::check(&parse(vector)?)),
    ("order", |vector| entries::check_order(&parse(vector)?)),
    ("claims", |vector| tree::check_claims(&parse(vector)?)),
    ("ranks", |vector| tree::check_ranks(&parse(vector)?)),
    ("reconciliations", |vector| sync::check(&parse(vector)?)),
];

/// Checks every file of the folder against the node and against `spec`, the text of the specification. What is found
/// wrong, and how many vectors there are.
///
/// # Panics
/// When the folder cannot be read.
pub fn check(folder: &Path, spec: &str) -> (Vec<String>, usize) {
    let cited = sections(spec);
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut kinds: BTreeSet<_> = KINDS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        match read(&path) {
            Ok(file) => {
                count += file.vectors.len();
                kinds.remove(&file.kind);
                failures.extend(check_file(&name, file, &cited));
            }
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    failures.extend(kinds.iter().map(|kind| format!("there is no file of the kind {kind:?}")));
    (failures, count)
}

fn read(path: &Path) -> Result<File, Failure> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("no file of vectors: {error}"))
}

fn check_file(file: &str, File { kind, vectors, .. }: File, cited: &BTreeSet<String>) -> Vec<String> {
    let Some((_, check)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return vec![format!("{file}: nobody checks the kind {kind:?}")];
    };
    let mut failures = Vec::new();
    if vectors.is_empty() {
        failures.push(format!("{file}: no vectors"));
    }
    let mut names = BTreeSet::new();
    for mut vector in vectors {
        let Ok(Cited { name, spec }) = Cited::deserialize(&vector) else {
            failures.push(format!("{file}: no name or no section: {vector}"));
            continue;
        };
        if let Some(said) = vector.as_object_mut() {
            said.retain(|key, _| key != "name" && key != "spec");
        }
        if !cited.contains(&spec) {
            failures.push(format!("{file}: {name}: there is no {spec} in the specification"));
        }
        if let Err(failure) = check(vector) {
            failures.push(format!("{file}: {name}: {failure}"));
        }
        if !names.insert(name.clone()) {
            failures.push(format!("{file}: {name}: twice"));
        }
    }
    failures
}

/// The numbers of the sections, and of what each demands: `8` and `8.4`.
fn sections(spec: &str) -> BTreeSet<String> {
    let number = |text: &str| text.split_once(". ").and_then(|(number, _)| number.parse::<u32>().ok());
    let mut section = None;
    let mut found = BTreeSet::new();
    for line in spec.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = number(title);
            found.extend(section.map(|section| section.to_string()));
        } else if let (Some(section), Some(item)) = (section, number(line)) {
            found.insert(format!("{section}.{item}"));
        }
    }
    found
}

fn parse<T: DeserializeOwned>(vector: Value) -> Result<T, Failure> {
    serde_json::from_value(vector).map_err(|error| format!("no vector of this kind: {error}"))
}

/// Fails unless both are the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, actual: &T) -> Result<(), Failure> {
    if expected == actual {
        return Ok(());
    }
    let brief = |value: &T| {
        let text = format!("{value:?}");
        text.chars().take(1_000).collect::<String>()
    };
    Err(format!("{what}:\n  expected {}\n  found    {}", brief(expected), brief(actual)))
}

/// The bytes of this hexadecimal text.
fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    let byte = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| format!("not hexadecimal: {text}"))
}

/// These bytes in hexadecimal.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes of this hexadecimal text.
fn secret(text: &str) -> Result<[u8; 32], Failure> {
    hex(text)?.try_into().map_err(|_| format!("not 32 bytes: {text}"))
}
