use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::*;
use crate::model::MAX_LINE;
use crate::wire::{Frame, Line, Parsed, parse};

fn identity() -> Identity {
    Identity::from_secret(&[7; 32])
}

fn texts(texts: &[&str]) -> Vec<ChatText> {
    texts.iter().map(|text| ChatText::new(*text).unwrap()).collect()
}

fn draft<'a>(uname: &'a Name, texts: &'a [ChatText]) -> Draft<'a> {
    Draft::new(5, 6, 7, uname, texts)
}

/// The `CHAT` line of an entry.
fn line(entry: &Entry) -> String {
    let mut out = Vec::new();
    Frame::Chat(entry.sealed()).encode(&mut out);
    String::from_utf8(out).unwrap()
}

/// The entry in a `CHAT` line, verified.
fn opened(line: &str) -> Result<Entry, EntryError> {
    match parse(Line::Text(line.trim_end_matches('\n')), 64) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => sealed.open(NetworkId::OPEN),
        other => panic!("{other:?}"),
    }
}

/// The entry with this JSON, signed and verified.
fn signed(json: &str) -> Result<Entry, EntryError> {
    let id = id_of(NetworkId::OPEN, json);
    let signature = identity().sign(Purpose::Entry, NetworkId::OPEN, id.as_bytes());
    Sealed { signature, json }.open(NetworkId::OPEN)
}

#[test]
fn a_signed_entry_is_read_back_unchanged() {
    let name = "Zoë; \"x\"".parse().unwrap();
    let said = texts(&["one", "two; \\ \u{1} \u{2028}", "😀"]);
    let via = Via { node_id: NodeId::from_bytes([3; 16]), uname: "Old".parse().unwrap() };
    let to = [NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16])];
    for (to, via) in [(&[][..], None), (&to[..], Some(&via))] {
        let entry = Entry::sign(&identity(), &Draft { to, via, ..draft(&name, &said) });
        let other = opened(&line(&entry)).unwrap();
        assert_eq!(other, entry);
        assert_eq!((other.texts(), other.to(), other.via()), (&said[..], to, via));
        assert_eq!((other.epoch(), other.seq(), other.at(), other.uname()), (5, 6, 7, &name));
        assert_eq!((other.key(), other.author()), (identity().key(), identity().node_id()));
        assert_eq!(other.id(), entry.sealed().id(NetworkId::OPEN));
        assert_eq!(EntryId::new(&other.id().to_string()), Some(other.id()));
    }
}

#[test]
fn an_entry_with_a_changed_byte_is_malformed() {
    let name = "Zoe".parse().unwrap();
    let said = texts(&["hello"]);
    let entry = Entry::sign(&identity(), &draft(&name, &said));
    let json = entry.sealed().json;
    let changed = json.replace("hello", "hallo");
    let open = NetworkId::OPEN;
    let sealed = Sealed { signature: entry.sealed().signature, json: &changed };
    assert_eq!(sealed.open(open), Err(EntryError::Signature));
    let other = Identity::from_secret(&[8; 32]);
    let sealed = Sealed { signature: other.sign(Purpose::Entry, open, entry.id().as_bytes()), json };
    assert_eq!(sealed.open(open), Err(EntryError::Signature));
    let sealed = Sealed { signature: identity().sign(Purpose::Tree, open, entry.id().as_bytes()), json };
    assert_eq!(sealed.open(open), Err(EntryError::Signature), "another purpose");
    for at in 0..json.len() {
        let mut bytes = json.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(changed) = core::str::from_utf8(&bytes) else { continue };
        assert!(
            Sealed { signature: entry.sealed().signature, json: changed }.open(open).is_err(),
            "{changed}"
        );
    }
}

#[test]
fn unknown_members_are_kept_and_long_names_are_cut() {
    let key = identity().key();
    let name = "n".repeat(70);
    let json =
        format!(r#"{{"key":"{key}","epoch":0,"seq":0,"at":0,"new":[{{}}],"uname":"{name}","texts":["x"]}}"#);
    let entry = signed(&json).unwrap();
    assert_eq!(entry.sealed().json, json);
    assert_eq!(entry.uname().as_str().len(), Name::MAX);
}

#[test]
fn values_out_of_range_are_malformed_even_if_they_are_signed() {
    let key = identity().key();
    let entry = |number: u64, texts: &str, more: &str| {
        format!(r#"{{"key":"{key}","epoch":1,"seq":{number},"at":1,"uname":"x","texts":[{texts}]{more}}}"#)
    };
    let to = |count: usize| {
        format!(r#","to":[{}]"#, vec![format!("\"{}\"", identity().node_id()); count].join(","))
    };
    assert!(signed(&entry(MAX_NUMBER, r#""a""#, &to(MAX_TO))).is_ok());
    let wrong = [
        entry(MAX_NUMBER + 1, r#""a""#, ""),
        entry(u64::MAX, r#""a""#, ""),
        entry(0, "", ""),
        entry(0, r#""""#, ""),
        entry(0, r#""a\nb""#, ""),
        entry(0, "1", ""),
        entry(0, r#""a""#, &to(MAX_TO + 1)),
        entry(0, r#""a""#, r#","to":["x"]"#),
        entry(0, r#""a""#, r#","via":{}"#),
        entry(0, r#""a""#, r#","seq":1"#),
        entry(0, r#""a""#, "").replace(":1,", ":-1,"),
        entry(0, r#""a""#, "").replace(":1,", ":1.5,"),
        entry(0, r#""a""#, "").replace(&key.to_string(), &"A".repeat(43)),
        String::from("[]"),
        String::new(),
    ];
    for json in wrong {
        assert_eq!(signed(&json), Err(EntryError::Content), "{json}");
    }
}

#[test]
fn an_entry_of_as_many_texts_as_fit_is_no_longer_than_a_line() {
    let name: Name = ";".repeat(64).parse().unwrap();
    let via = Via { node_id: NodeId::from_bytes([3; 16]), uname: name.clone() };
    let to = [identity().node_id(); MAX_TO];
    let longest = |text: &str, count| vec![ChatText::new(text.repeat(count)).unwrap()];
    for said in [longest("x", ChatText::MAX), longest("\u{1}", ChatText::MAX / 6), texts(&["x"; 60_000])] {
        let fit = Draft::fitting(&said);
        let draft = Draft {
            to: &to,
            via: Some(&via),
            epoch: MAX_NUMBER,
            seq: MAX_NUMBER,
            at: MAX_NUMBER,
            ..draft(&name, &said[..fit])
        };
        let len = line(&Entry::sign(&identity(), &draft)).len();
        assert!(len <= MAX_LINE, "{len}");
        assert!(fit == said.len() || len + 2_000 > MAX_LINE, "{fit} texts take {len} bytes");
    }
    assert!(ChatText::new("x".repeat(ChatText::MAX + 1)).is_err());
}

#[test]
fn an_array_in_place_of_an_object_and_a_null_are_malformed() {
    let key = identity().key();
    let id = NodeId::from_bytes([3; 16]);
    let with = |via: &str| {
        format!(r#"{{"key":"{key}","epoch":5,"seq":6,"at":7,"uname":"Zoe","texts":["hello"],"via":{via}}}"#)
    };
    let entry = signed(&with(&format!(r#"{{"node_id":"{id}","uname":"{}"}}"#, "x".repeat(65)))).unwrap();
    assert_eq!(entry.via().unwrap().uname.as_str(), "x".repeat(64));
    for via in ["null", &format!(r#"["{id}","Old"]"#), &format!(r#"{{"node_id":"{id}","uname":""}}"#)] {
        assert_eq!(signed(&with(via)), Err(EntryError::Content), "{via}");
    }
    assert_eq!(signed(&format!(r#"["{key}",5,6,7,"Zoe",["hello"]]"#)), Err(EntryError::Content));
}

#[test]
fn nobody_speaks_in_the_name_of_an_id_that_belongs_to_a_key() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["hello"]));
    let lines_signed = |node_id: NodeId| {
        let via = Via { node_id, uname: "Old".parse().unwrap() };
        let entry = Entry::sign(&identity(), &Draft { via: Some(&via), ..draft(&name, &said) });
        entry.sealed().open(NetworkId::OPEN).map(|entry| entry.via().map(|via| via.node_id))
    };
    let [of_key, other_key] = [identity().node_id(), Identity::from_secret(&[8; 32]).node_id()];
    assert_eq!(lines_signed(of_key), Err(EntryError::Content), "also not the author itself");
    assert_eq!(lines_signed(other_key), Err(EntryError::Content));
    for other in [NodeId::from_bytes([3; 16]), NodeId::of_text("abc123").unwrap()] {
        assert_eq!(lines_signed(other), Ok(Some(other)));
    }
}
