//! The committed vectors, by which another implementation can check every byte: they hold for this one.

use std::fs;
use std::path::Path;

#[test]
fn every_vector_of_every_file_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let spec = fs::read_to_string(root.join("../proto-core/SPEC.md")).expect("the specification");
    let (failures, count) = tests::vectors::check(&root.join("vectors"), &spec);
    assert!(failures.is_empty(), "{} of {count} do not hold:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 550, "{count} vectors");
}
