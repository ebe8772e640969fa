use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::header::BodyHash;
use super::*;
use crate::model::{ChatText, MAX_LINE};
use crate::wire::{Frame, Line, Parsed, parse};

const OPEN: NetworkId = NetworkId::OPEN;
const SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn identity() -> Identity {
    Identity::from_secret(&[7; 32])
}

fn texts(texts: &[&str]) -> Vec<ChatText> {
    texts.iter().map(|text| ChatText::new(*text).unwrap()).collect()
}

fn draft<'a>(uname: &'a Name, texts: &'a [ChatText]) -> Draft<'a> {
    Draft::new(5, RunPosition::unlinked(6), 7, uname, texts, [9; 16])
}

/// The `CHAT` line of an entry.
fn line(entry: &Entry) -> String {
    let mut out = Vec::new();
    Frame::Chat(entry.sealed()).encode(&mut out);
    String::from_utf8(out).unwrap()
}

/// The entry in a `CHAT` line, verified.
fn opened(line: &str) -> Result<Opened, EntryError> {
    match parse(Line::Text(line.trim_end_matches('\n')), 64) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => sealed.open(OPEN),
        other => panic!("{other:?}"),
    }
}

/// What this header and body are, when the header is signed.
fn signed_header(header: &str, body: &str) -> Result<Opened, EntryError> {
    let id = EntryId::of(OPEN, header);
    let signature = identity().sign(Purpose::Entry, OPEN, id.as_bytes());
    Sealed { signature, header, body }.open(OPEN)
}

/// A header with these members in place of `seq`, and of `kind` and the members of the body.
fn header(place: &str, more: &str) -> String {
    format!(r#"{{"key":"{}","epoch":1,{place}"at":1,{more}}}"#, identity().key())
}

/// The members of a header that name this body.
fn of_body(kind: &str, body: &str) -> String {
    format!(r#""kind":"{kind}","size":{},"hash":"{}""#, body.len(), BodyHash::of(body))
}

/// The first entry of a run with these members more, and with this body of this kind.
fn signed(more: &str, kind: &str, body: &str) -> Result<Opened, EntryError> {
    signed_header(&header(r#""seq":0,"#, &format!("{}{more}", of_body(kind, body))), body)
}

/// The same with a text.
fn with(more: &str) -> Result<Opened, EntryError> {
    signed(more, "text", &text_body(""))
}

/// A body of the kind `text` with these members more.
fn text_body(more: &str) -> String {
    format!(r#"{{"uname":"Zoe","texts":["hello"],"salt":"{SALT}"{more}}}"#)
}

fn entry(opened: Result<Opened, EntryError>) -> Entry {
    opened.unwrap().entry().unwrap()
}

#[test]
fn a_signed_entry_is_read_back_unchanged() {
    let name = "Zoë; \"x\"".parse().unwrap();
    let said = texts(&["one", "two; \\ | \u{1} \u{2028}", "😀"]);
    let via = Via { node_id: NodeId::from_bytes([3; 16]), uname: "Old".parse().unwrap() };
    let to = [NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16])];
    let room = "a|b;c".parse().unwrap();
    for (to, via, class) in
        [(&[][..], None, Class::Kept), (&to[..], None, Class::Kept), (&[][..], Some(&via), Class::Line)]
    {
        let written = Draft { to, via, room: Some(&room), ..draft(&name, &said) };
        let one = Entry::sign(&identity(), &written);
        let other = entry(opened(&line(&one)));
        assert_eq!(other, one);
        assert!(other.texts().eq(said.iter().map(ChatText::as_str)));
        assert_eq!((other.to(), other.via(), other.class()), (to, via, &class));
        assert_eq!((other.room(), other.kind(), other.at()), (Some(&room), &Kind::Text, 7));
        assert_eq!((other.epoch(), other.seq(), other.uname()), (5, 6, &name));
        assert_eq!(other.prev(), RunPosition::unlinked(6).prev());
        assert_eq!((other.key(), other.author()), (identity().key(), identity().node_id()));
        assert_eq!(other.id(), one.sealed().id(OPEN));
        assert_eq!(EntryId::new(&other.id().to_string()), Some(other.id()));
        assert_eq!(other.charge(), one.charge());
        assert_eq!(one.sealed().line_len(), line(&one).len());
    }
}

#[test]
fn words_of_a_peer_without_a_key_are_told_to_nobody() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["hello"]));
    let (to, via) = ([NodeId::from_bytes([1; 16])], Via::new(NodeId::from_bytes([3; 16]), name));
    let uname = "Ann".parse().unwrap();
    let one = Entry::sign(&identity(), &Draft { to: &to, via: Some(&via), ..draft(&uname, &said) });
    assert_eq!((one.to(), one.header().speaker()), (&[][..], Some(via.node_id)));
    assert_eq!(entry(opened(&line(&one))), one);
}

#[test]
fn an_entry_with_a_changed_byte_is_malformed() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["hello"]));
    let one = Entry::sign(&identity(), &draft(&name, &said));
    let Sealed { signature, header, body } = one.sealed();
    let hallo = body.replace("hello", "hallo");
    assert_eq!(Sealed { signature, header, body: &hallo }.open(OPEN), Err(EntryError::Body));
    let longer = format!("{body} ");
    assert_eq!(Sealed { signature, header, body: &longer }.open(OPEN), Err(EntryError::Body));
    let later = header.replace("\"at\":7", "\"at\":8");
    assert_eq!(Sealed { signature, header: &later, body }.open(OPEN), Err(EntryError::Signature));
    let forged = |identity: Identity, purpose| {
        let signature = identity.sign(purpose, OPEN, one.id().as_bytes());
        Sealed { signature, header, body }.open(OPEN)
    };
    assert_eq!(forged(Identity::from_secret(&[8; 32]), Purpose::Entry), Err(EntryError::Signature));
    assert_eq!(forged(identity(), Purpose::Tree), Err(EntryError::Signature), "another purpose");
    assert_eq!(one.sealed().open(NetworkId::named("club")), Err(EntryError::Signature), "another network");
    let parts = [header, body];
    for (part, at) in (0..2).flat_map(|part| (0..parts[part].len()).map(move |at| (part, at))) {
        let mut bytes = parts[part].as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(changed) = core::str::from_utf8(&bytes) else { continue };
        let mut parts = parts;
        parts[part] = changed;
        let [header, body] = parts;
        assert!(Sealed { signature, header, body }.open(OPEN).is_err(), "{changed}");
    }
}

#[test]
fn unknown_members_are_kept_and_long_names_are_cut() {
    let name = "n".repeat(70);
    let body = text_body(r#","new":[{}]"#).replace("Zoe", &name);
    let one = entry(signed(r#","new":[{}]"#, "text", &body));
    assert!(one.sealed().header.contains(r#""new":[{}]"#));
    assert_eq!(one.body(), body);
    assert_eq!(one.uname().as_str().len(), Name::MAX);
}

#[test]
fn a_header_is_an_object_of_at_most_2048_bytes() {
    let padded = |len: usize| {
        let bare = header(r#""seq":0,"#, &format!(r#"{},"x":"""#, of_body("text", &text_body(""))));
        bare.replace(r#""x":"""#, &format!(r#""x":"{}""#, "x".repeat(len - bare.len())))
    };
    for len in [MAX_HEADER - 1, MAX_HEADER] {
        assert_eq!(padded(len).len(), len);
        assert!(signed_header(&padded(len), &text_body("")).is_ok());
    }
    assert_eq!(signed_header(&padded(MAX_HEADER + 1), &text_body("")), Err(EntryError::Content));
    for json in ["[]", "", "{}", "null", &format!("{} x", padded(1_000))] {
        assert_eq!(signed_header(json, &text_body("")), Err(EntryError::Content), "{json}");
    }
}

#[test]
fn values_of_a_header_out_of_range_are_malformed_even_if_they_are_signed() {
    let body = text_body("");
    let names = of_body("text", &body);
    let prev = EntryId::from_bytes([1; 32]);
    let of = |place: &str| signed_header(&header(place, &names), &body);
    let numbered = |seq: u64| of(&format!(r#""seq":{seq},"prev":"{prev}","#));
    assert_eq!(entry(numbered(MAX_NUMBER)).seq(), MAX_NUMBER);
    assert_eq!(entry(of(r#""seq":0,"#)).prev(), None);
    for wrong in [numbered(0), numbered(MAX_NUMBER + 1), numbered(u64::MAX), of(r#""seq":1,"#), of("")] {
        assert_eq!(wrong, Err(EntryError::Content));
    }
    assert_eq!(of(&format!(r#""prev":"{prev}","#)), Err(EntryError::Content));
    let right = header(r#""seq":0,"#, &names);
    assert!(signed_header(&right, &body).is_ok());
    let wrong = [
        (r#""seq":0"#, r#""seq":0,"seq":0"#),
        (r#""seq":0"#, r#""seq":0,"prev":null"#),
        (r#""epoch":1"#, r#""epoch":-1"#),
        (r#""epoch":1"#, r#""epoch":1.5"#),
        (r#""epoch":1"#, r#""epoch":9007199254740992"#),
        (r#""at":1"#, r#""at":9007199254740992"#),
        (r#""at":1,"#, ""),
        (r#""kind":"text""#, r#""kind":"Text""#),
        (r#""kind":"text","#, ""),
        (r#""hash":""#, r#""hash":"A"#),
        (&identity().key().to_string(), &"A".repeat(43)),
    ];
    for (from, to) in wrong {
        let json = right.replace(from, to);
        assert_ne!(json, right);
        assert_eq!(signed_header(&json, &body), Err(EntryError::Content), "{json}");
    }
    let huge = right.replace(&format!(r#""size":{}"#, body.len()), r#""size":65537"#);
    assert_eq!(signed_header(&huge, ""), Err(EntryError::Content));
}

#[test]
fn rooms_and_classes_are_words_or_malformed() {
    assert_eq!(entry(with(r#","room":"\u007c""#)).room(), Some(&"|".parse().unwrap()));
    for wrong in [r#""room":"""#, r#""room":null"#, r#""room":"a\n""#, r#""class":"""#, r#""class":null"#] {
        assert_eq!(with(&format!(",{wrong}")), Err(EntryError::Content), "{wrong}");
    }
    let long = format!(r#","room":"{}""#, "x".repeat(Room::MAX + 1));
    assert_eq!(with(&long), Err(EntryError::Content));
    let other = entry(with(r#","class":"later","via":"03030303-0303-4303-8303-030303030303""#));
    assert_eq!((other.class().word(), other.via()), (Some("later"), None));
    assert!(other.texts().eq(["hello"]), "an unknown class is treated as what is kept");
}

#[test]
fn a_line_names_its_speaker_and_nothing_else_does() {
    let id = NodeId::from_bytes([3; 16]);
    let line = |via: &str, more: &str| signed(&format!(r#","class":"line"{via}"#), "text", &text_body(more));
    let via = format!(r#","via":"{id}""#);
    let speaker = format!(r#","speaker":"{}""#, "x".repeat(65));
    let one = entry(line(&via, &speaker));
    assert_eq!(one.via(), Some(&Via::new(id, "x".repeat(64).parse().unwrap())));
    assert_eq!(one.class(), &Class::Line);
    let of_key = format!(r#","via":"{}""#, identity().node_id());
    for (via, more) in [
        ("", &*speaker),
        (&via, ""),
        (&via, r#","speaker":"""#),
        (&via, r#","speaker":null"#),
        (r#","via":null"#, &speaker),
        (&of_key, &speaker),
    ] {
        assert_eq!(line(via, more), Err(EntryError::Content), "{via} {more}");
    }
    assert_eq!(with(&via), Err(EntryError::Content));
    let own = entry(signed("", "text", &text_body(&speaker)));
    assert_eq!(own.via(), None, "in another class the member means nothing");
}

#[test]
fn values_of_a_text_out_of_range_are_malformed_even_if_they_are_signed() {
    let to = |count| format!(r#","to":[{}]"#, vec![format!("\"{}\"", identity().node_id()); count].join(","));
    assert_eq!(entry(signed("", "text", &text_body(&to(MAX_TO)))).to().len(), MAX_TO);
    let right = text_body("");
    let texts = |texts: &str| right.replace(r#"["hello"]"#, texts);
    let wrong = [
        texts("[]"),
        texts(r#"[""]"#),
        texts(r#"["a\nb"]"#),
        texts("[1]"),
        texts("null"),
        texts(&format!("[{}]", vec![r#""x""#; MAX_TEXTS + 1].join(","))),
        texts(&format!(r#"["{}"]"#, "x".repeat(ChatText::MAX + 1))),
        text_body(&to(MAX_TO + 1)),
        text_body(r#","to":["x"]"#),
        text_body(r#","uname":"x""#),
        right.replace(SALT, &SALT[1..]),
        right.replace(&format!(r#","salt":"{SALT}""#), ""),
        right.replace("Zoe", ""),
        format!(r#"["Zoe",["hello"],[],"{SALT}"]"#),
        String::from("x"),
        right + " x",
    ];
    for body in wrong {
        assert_eq!(signed("", "text", &body), Err(EntryError::Content), "{body}");
    }
}

#[test]
fn an_entry_of_an_unknown_kind_is_one_whatever_its_body() {
    for body in ["", "|a|", "{\"uname\":5}"] {
        let one = entry(signed("", "vote", body));
        assert_eq!((one.body(), one.kind().word(), one.texts().len()), (body, "vote", 0));
        assert_eq!(one.uname().as_str(), one.author().short().to_string());
        assert_eq!(entry(opened(&line(&one))), one);
    }
    let wrong = header(r#""seq":0,"#, &of_body("vote", "yes"));
    assert_eq!(signed_header(&wrong, "not"), Err(EntryError::Body));
    assert_eq!(signed_header(&wrong, "no"), Err(EntryError::Body));
}

#[test]
fn a_body_that_is_gone_leaves_what_is_signed() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["hello"]));
    let one = Entry::sign(&identity(), &draft(&name, &said));
    let without = Sealed { body: "", ..one.sealed() };
    let Ok(Opened::Gone(gone)) = without.open(OPEN) else { panic!("{without:?}") };
    assert_eq!((gone.header(), gone.position().seq()), (one.header(), 6));
    assert_eq!(without.id(OPEN), one.id());
    let other = Identity::from_secret(&[8; 32]).sign(Purpose::Entry, OPEN, one.id().as_bytes());
    assert_eq!(Sealed { signature: other, ..without }.open(OPEN), Err(EntryError::Signature));
}

#[test]
fn what_is_live_has_no_number() {
    let live = |place: &str, class: &str, body: &str| {
        let names = format!("{}{class}", of_body("typing", "here"));
        signed_header(&header(place, &names), body)
    };
    for class in [r#","class":"live""#, r#","class":"later""#] {
        let Ok(Opened::Live(one)) = live("", class, "here") else { panic!("{class}") };
        assert_eq!((one.body(), one.header().kind().word()), ("here", "typing"));
        assert_eq!(one.sealed().open(OPEN), Ok(Opened::Live(one.clone())));
        assert_eq!(live("", class, ""), Err(EntryError::Body), "its body is never gone");
    }
    assert_eq!(live(r#""seq":0,"#, r#","class":"live""#, "here"), Err(EntryError::Content));
    assert_eq!(live("", "", "here"), Err(EntryError::Content), "what is kept has a number");
}

#[test]
fn an_entry_of_as_many_texts_as_fit_is_no_longer_than_a_line() {
    let name: Name = ";".repeat(64).parse().unwrap();
    let via = Via { node_id: NodeId::from_bytes([3; 16]), uname: name.clone() };
    let (to, room) = ([identity().node_id(); MAX_TO], ";".repeat(Room::MAX).parse().unwrap());
    let longest = |text: &str, count| vec![ChatText::new(text.repeat(count)).unwrap()];
    let many = vec![ChatText::new("x".repeat(100)).unwrap(); 1_000];
    for said in [
        longest("x", ChatText::MAX),
        longest("\u{1}", ChatText::MAX / 6),
        texts(&["x"; 60_000]),
        texts(&[&*"x".repeat(1_000); 100]),
        many,
    ] {
        let fit = Draft::fitting(&said);
        for via in [None, Some(&via)] {
            let position = RunPosition::unlinked(MAX_NUMBER);
            let (to, room) = (&to[..], Some(&room));
            let draft = Draft::new(MAX_NUMBER, position, MAX_NUMBER, &name, &said[..fit], [9; 16]);
            let entry = Entry::sign(&identity(), &Draft { to, via, room, ..draft });
            let len = line(&entry).len();
            assert!(len <= MAX_LINE, "{len}");
            assert!(entry.sealed().header.len() <= MAX_HEADER);
            let full = fit == MAX_TEXTS || len + 4_096 > MAX_LINE;
            assert!(fit == said.len() || full, "{fit} texts take {len} bytes");
        }
    }
    assert!(ChatText::new("x".repeat(ChatText::MAX + 1)).is_err());
}

#[test]
fn an_entry_is_kept_as_text_with_its_network() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["a|b"]));
    for network in [OPEN, NetworkId::named("club")] {
        let one = Entry::sign(&identity(), &Draft { network, ..draft(&name, &said) });
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), one);
        assert!(text.starts_with(&format!("\"{network}|")));
        assert!(serde_json::from_str::<Entry>(&text.replace("a|b", "a|c")).is_err());
        let gone = text.split("|{").take(2).collect::<Vec<_>>().join("|{") + "|\"";
        assert!(serde_json::from_str::<Entry>(&gone).is_err(), "{gone}");
    }
}

#[test]
fn nobody_speaks_in_the_name_of_an_id_that_belongs_to_a_key() {
    let (name, said) = ("Zoe".parse().unwrap(), texts(&["hello"]));
    let lines_signed = |node_id: NodeId| {
        let via = Via { node_id, uname: "Old".parse().unwrap() };
        let entry = Entry::sign(&identity(), &Draft { via: Some(&via), ..draft(&name, &said) });
        entry.sealed().open(OPEN).map(|opened| opened.entry().and_then(|entry| entry.header().speaker()))
    };
    let [of_key, other_key] = [identity().node_id(), Identity::from_secret(&[8; 32]).node_id()];
    assert_eq!(lines_signed(of_key), Err(EntryError::Content), "also not the author itself");
    assert_eq!(lines_signed(other_key), Err(EntryError::Content));
    for other in [NodeId::from_bytes([3; 16]), NodeId::of_text("abc123").unwrap()] {
        assert_eq!(lines_signed(other), Ok(Some(other)));
    }
}

#[test]
fn the_lines_of_what_is_said_take_no_more_than_was_reserved_for_them() {
    let name: Name = ";".repeat(64).parse().unwrap();
    let to = [identity().node_id(); MAX_TO];
    for said in [texts(&["x"; 5_000]), texts(&[&*"x".repeat(40_000); 3]), texts(&["x"])] {
        let (mut bytes, mut rest) = (0, &said[..]);
        while !rest.is_empty() {
            let (now, after) = rest.split_at(Draft::fitting(rest));
            bytes += line(&Entry::sign(&identity(), &Draft { to: &to, ..draft(&name, now) })).len();
            rest = after;
        }
        assert!(bytes <= Draft::most_bytes(&said), "{bytes}");
    }
}

#[test]
fn the_charge_is_the_line_the_texts_and_fixed_amounts() {
    let name = "Zoe".parse().unwrap();
    let said = texts(&["one", "t\"wo"]);
    let to = [NodeId::from_bytes([1; 16])];
    let one = Entry::sign(&identity(), &Draft { to: &to, ..draft(&name, &said) });
    assert_eq!(one.charge(), line(&one).len() + "onet\"wo".len() + 1_152 + 2 * 4 + 16);
    assert_eq!(entry(opened(&line(&one))).charge(), one.charge());
}
