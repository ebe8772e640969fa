//! proto-core keeps to the imports that `.ci/imports` allows, and the check finds each kind of violation.

use std::path::Path;

use tests::imports::{Sources, Table, check, check_project};

#[test]
fn the_core_keeps_to_its_table() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = check_project(&project).expect("a readable project");
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} violations of .ci/imports:\n{}", list.len(), list.join("\n"));
}

const TABLE: &str = "
    # A comment.
    lib: *
    node: *
    contract: wire model
    mesh: wire model
    chat: wire model
    wire: model
    model:
    tests: *
    impl Node: node.rs node/views.rs
    closed fields: mesh chat
    open fields: mesh::Dialed
";

/// A crate that keeps to the table.
const SOUND: [(&str, &str); 11] = [
    ("lib.rs", "mod chat; mod contract; mod mesh; mod model; mod node; mod wire;\npub use model::Name;"),
    (
        "node.rs",
        "mod views;\nuse crate::{Name, chat::Log, mesh::Book};\npub struct Node { pub(crate) book: Book }\nimpl Node {}",
    ),
    (
        "node/views.rs",
        "impl<T: Into<u8>> From<super::Node> for T {}\nimpl crate::Node { fn f() -> impl Node {} }",
    ),
    ("contract.rs", "use crate::wire::Frame;"),
    ("mesh/mod.rs", "mod book; #[cfg(test)] mod tests;\npub(crate) struct Dialed(pub(crate) u8);"),
    (
        "mesh/book.rs",
        "use super::Dialed; use std::fmt;\npub(crate) struct Book { a: u8, pub(super) b: u8 }\n// crate::chat",
    ),
    ("mesh/tests.rs", "use crate::{Name, chat::Log}; impl Node {} struct Open { pub(crate) a: u8 }"),
    (
        "chat.rs",
        "pub(in crate::chat) struct Log; impl Log { pub(crate) fn f() {} } const TEXT: &str = \"a crate::mesh\";",
    ),
    ("wire/mod.rs", "use crate::model::{self, Name};"),
    ("model/mod.rs", "mod names;\npub use names::*;"),
    ("model/names.rs", "/// See [`crate::mesh`].\npub struct Name { pub(crate) a: u8 }"),
];

/// The violations after these lines were added to files of the sound crate, at line 5.
fn found(table: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut files: Vec<(String, String)> =
        SOUND.map(|(file, text)| (file.to_owned(), text.to_owned())).into_iter().collect();
    for (file, lines) in more {
        match files.iter_mut().find(|(name, _)| name == file) {
            Some((_, text)) => {
                let above = text.lines().count();
                text.push_str(&"\n".repeat(5 - above));
                text.push_str(lines);
            }
            None => files.push(((*file).to_owned(), (*lines).to_owned())),
        }
    }
    let table = Table::parse(table).expect("a table");
    let found = check(&table, &Sources::from_iter(files));
    found.iter().map(|found| found.to_string().replace("proto-core/src/", "")).collect()
}

#[track_caller]
fn bites(file: &str, lines: &str, expected: &[&str]) {
    assert_eq!(found(TABLE, &[(file, lines)]), expected, "{file}: {lines}");
}

#[test]
fn a_sound_crate_has_no_violations() {
    assert_eq!(found(TABLE, &[]), [""; 0]);
}

#[test]
fn an_import_of_another_machine() {
    bites(
        "mesh/book.rs",
        "use crate::chat::Log;",
        &["mesh/book.rs:5: `mesh` may not import `chat`: crate::chat::Log"],
    );
    bites(
        "chat.rs",
        "pub(crate) use crate::mesh as m;",
        &["chat.rs:5: `chat` may not import `mesh`: crate::mesh"],
    );
    bites(
        "chat.rs",
        "fn f() { use crate::node; }",
        &["chat.rs:5: `chat` may not import `node`: crate::node"],
    );
    bites(
        "wire/mod.rs",
        "use crate::mesh::*;",
        &["wire/mod.rs:5: `wire` may not import `mesh`: crate::mesh::*"],
    );
    bites(
        "model/names.rs",
        "use other::wire; use ::wire::B; use crate::r#wire::A;",
        &["model/names.rs:5: `model` may not import `wire`: crate::wire::A"],
    );
    bites(
        "contract.rs",
        "use crate::mesh::Book;",
        &["contract.rs:5: `contract` may not import `mesh`: crate::mesh::Book"],
    );
}

#[test]
fn nested_imports_over_lines() {
    bites(
        "mesh/mod.rs",
        "use crate::{\n    model::Name,\n    chat::{Log,\n        clock::{self, Clock}},\n};",
        &[
            "mesh/mod.rs:7: `mesh` may not import `chat`: crate::chat::Log",
            "mesh/mod.rs:8: `mesh` may not import `chat`: crate::chat::clock",
            "mesh/mod.rs:8: `mesh` may not import `chat`: crate::chat::clock::Clock",
        ],
    );
}

#[test]
fn paths_in_code() {
    let log = &["mesh/book.rs:5: `mesh` may not import `chat`: crate::chat::Log"];
    bites("mesh/book.rs", "fn f(log: &crate::chat::Log) {}", log);
    bites("mesh/book.rs", "fn f() { vec![<crate::chat::Log>::new()]; }", log);
    bites("mesh/book.rs", "macro_rules! f { () => { $crate::chat::Log } }", log);
    bites(
        "mesh/book.rs",
        "fn f() -> bool { a < crate::chat::Log::<u8>::MAX }",
        &["mesh/book.rs:5: `mesh` may not import `chat`: crate::chat::Log"],
    );
    bites(
        "mesh/book.rs",
        "struct A {\n    #[serde(with = \"crate::chat::Log\")]\n    a: u8,\n}",
        &["mesh/book.rs:6: `mesh` may not import `chat`: crate::chat::Log"],
    );
}

#[test]
fn ways_up_by_super() {
    bites(
        "mesh/book.rs",
        "use super::super::chat::Log;",
        &["mesh/book.rs:5: `mesh` may not import `chat`: crate::chat::Log"],
    );
    bites(
        "mesh/mod.rs",
        "mod inner { fn f() { self::super::super::chat::f() } }",
        &["mesh/mod.rs:5: `mesh` may not import `chat`: crate::chat::f"],
    );
    bites("chat.rs", "use super::mesh;", &["chat.rs:5: `chat` may not import `mesh`: crate::mesh"]);
    bites("mesh/book.rs", "mod inner { use super::super::Dialed; }", &[]);
}

#[test]
fn names_through_the_crate_root() {
    bites(
        "chat.rs",
        "use crate::Name;",
        &["chat.rs:5: `chat` may not import through the crate root: crate::Name"],
    );
    bites(
        "chat.rs",
        "use super::{Name as N};",
        &["chat.rs:5: `chat` may not import through the crate root: crate::Name"],
    );
    bites(
        "chat.rs",
        "fn f(_: crate::Name) {}",
        &["chat.rs:5: `chat` may not import through the crate root: crate::Name"],
    );
    bites(
        "mesh/mod.rs",
        "use super::*;",
        &["mesh/mod.rs:5: `mesh` may not import through the crate root: crate::*"],
    );
    bites("wire/mod.rs", "use crate as root;", &["wire/mod.rs:5: `wire` may not import the crate root"]);
    bites(
        "wire/mod.rs",
        "use crate::{self as root};",
        &["wire/mod.rs:5: `wire` may not import the crate root"],
    );
    bites(
        "wire/mod.rs",
        "extern crate self as root;",
        &["wire/mod.rs:5: `wire` may not import the crate root"],
    );
    bites(
        "wire/mod.rs",
        "use crate::helper;",
        &["wire/mod.rs:5: `helper` has no row in the table: crate::helper"],
    );
}

#[test]
fn test_code_is_what_is_compiled_for_tests_alone() {
    for attribute in
        ["#[cfg(test)]", "#[cfg(all(test, unix))] #[allow(a)]", "#[cfg(any(test, all(test, unix)))]"]
    {
        bites(
            "chat.rs",
            &format!("{attribute} mod a {{ use crate::mesh; mod b {{ use crate::mesh; }} }}"),
            &[],
        );
        bites("chat.rs", &format!("{attribute} pub(crate) use crate::{{mesh::Book}};"), &[]);
        bites("chat.rs", &format!("{attribute} fn f<A, B>() -> [u8; 2] {{ crate::mesh::f() }}"), &[]);
    }
    let mesh = "chat.rs:5: `chat` may not import `mesh`: crate::mesh";
    for attribute in ["#[cfg(not(test))]", "#[cfg(any(test, unix))]", "#[cfg(feature = \"test\")]", "#[test]"]
    {
        bites("chat.rs", &format!("{attribute} use crate::mesh;"), &[mesh]);
    }
    // Only the one item.
    bites("chat.rs", "#[cfg(test)] use a::{b, c}; use crate::mesh;", &[mesh]);
    bites("chat.rs", "#[cfg(test)] mod a {} use crate::mesh;", &[mesh]);
    bites("chat.rs", "#[cfg(test)] const A: B = B {}; use crate::mesh;", &[mesh]);
    bites("chat.rs", "struct A { #[cfg(test)] a: crate::mesh::B, b: C } use crate::mesh;", &[mesh]);
    // What tests may import is a row like the others.
    assert_eq!(
        found(&TABLE.replace("tests: *", "tests: contract"), &[]),
        [
            "mesh/tests.rs:1: `mesh` may not import `chat`: crate::chat::Log",
            "mesh/tests.rs:1: `mesh` may not import through the crate root: crate::Name",
        ]
    );
}

#[test]
fn an_impl_of_node_elsewhere() {
    let book = &["mesh/book.rs:5: `impl Node` belongs in node.rs node/views.rs"];
    bites("mesh/book.rs", "impl Node {}", book);
    bites(
        "mesh/book.rs",
        "impl<T> super::super::node::Node where T: For<Node> {}",
        &[
            "mesh/book.rs:5: `impl Node` belongs in node.rs node/views.rs",
            "mesh/book.rs:5: `mesh` may not import `node`: crate::node::Node",
        ],
    );
    bites("mesh/book.rs", "fn a() {} unsafe impl<T: Fn(u8) -> u8> Extra<T> for &mut Node {}", book);
    bites("mesh/book.rs", "impl From<Node> for Other {}\nimpl Other<Node> {}\nfn f(_: impl Node) {}", &[]);
}

#[test]
fn fields_that_others_can_see() {
    let field =
        |name, owner| format!("mesh/mod.rs:5: `{name}` of `mesh::{owner}` can be seen outside of `mesh`");
    for (visible, name) in [("pub", "b"), ("pub(crate)", "b"), ("pub(super)", "b"), ("pub(in crate)", "b")] {
        let named = format!(
            "struct A<T: Into<(u8, u8)>> where T: Fn(u8) {{ a: Map<u8, u8>, #[b] {visible} {name}: u8 }}"
        );
        bites("mesh/mod.rs", &named, &[&field(name, "A")]);
        bites("mesh/mod.rs", &format!("struct A<T>(u8, {visible} ::std::B<u8>);"), &[&field("1", "A")]);
    }
    bites(
        "mesh/mod.rs",
        "struct A { pub(in crate::mesh) a: u8, pub(self) b: u8, c: u8 } struct B; fn f(pub_: (u8,)) {}",
        &[],
    );
    bites(
        "mesh/book.rs",
        "struct A { pub(in super::super) a: u8 }",
        &["mesh/book.rs:5: `a` of `mesh::A` can be seen outside of `mesh`"],
    );
    bites("node.rs", "struct A { pub(crate) a: u8 }", &[]);
}

#[test]
fn what_the_reader_cannot_follow_is_said() {
    bites(
        "chat.rs",
        "#[path = \"elsewhere.rs\"] mod other {}",
        &["chat.rs:5: `#[path]` hides where a module is"],
    );
    bites("chat.rs", "mod missing;", &["chat.rs:5: there is no file for `mod missing`"]);
    bites("chat/orphan.rs", "", &["chat/orphan.rs: no `mod` declares this file"]);
    bites("chat.rs", "fn f( {", &["chat.rs: this is not Rust: cannot parse string into token stream"]);
    bites("lib.rs", "mod other;", &["lib.rs:5: there is no file for `mod other`"]);
    let other = [("lib.rs", "mod other;"), ("other.rs", "use crate::chat;")];
    assert_eq!(found(TABLE, &other), ["other.rs: `other` has no row in the table"]);
}

#[test]
fn rows_that_stand_for_nothing() {
    let table =
        TABLE.replace("node/views.rs", "node/gone.rs").replace("mesh::Dialed", "mesh::Dialed chat::Gone");
    assert_eq!(
        found(&format!("{table}\n gone: model"), &[]),
        [
            ".ci/imports: there is no `chat::Gone` in the sources",
            ".ci/imports: there is no `gone` in the sources",
            ".ci/imports: there is no `impl Node: node/gone.rs` in the sources",
            "node/views.rs:2: `impl Node` belongs in node.rs node/gone.rs",
        ]
    );
    let error = |table: &str| Table::parse(table).unwrap_err();
    assert_eq!(error("chat: mesh"), "`mesh` is named, but has no row");
    assert_eq!(error("chat:\nchat:"), "`chat` has two rows");
    assert_eq!(error("chat"), "this is not a row: chat");
    assert_eq!(error("some words: chat"), "this is not a row: some words: chat");
}
