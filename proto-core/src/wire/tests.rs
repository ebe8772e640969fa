use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::model::{Name, NetworkId, NodeId};

const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn frame(line: &str) -> Result<Frame<'_>, FrameError> {
    match parse(Line::Text(line), 64)? {
        Parsed::Frame(frame) => Ok(frame),
        other => panic!("{line}: {other:?}"),
    }
}

fn join(json: &str) -> Result<Join, FrameError> {
    match parse(Line::Text(&format!("JOIN|{json}")), 64)? {
        Parsed::Frame(Frame::Join(join)) => Ok(*join),
        other => panic!("{json}: {other:?}"),
    }
}

fn peers(payload: &str, peers_read: usize) -> Result<Vec<PeerRecord>, FrameError> {
    match parse(Line::Text(&format!("PEERS|{payload}")), peers_read)? {
        Parsed::Frame(Frame::Peers(records)) => Ok(records),
        other => panic!("{payload}: {other:?}"),
    }
}

fn encoded(frame: &Frame<'_>) -> String {
    let mut out = Vec::new();
    frame.encode(&mut out);
    String::from_utf8(out).unwrap()
}

fn named(uname: &str) -> PeerRecord {
    PeerRecord { uname: Name::cut(uname), ..PeerRecord::default() }
}

#[test]
fn an_address_has_one_spelling() {
    let plain = Some(([9, 9, 9, 9], 9000).into());
    for spelled in ["9.9.9.9:9000", "[::ffff:9.9.9.9]:9000", "[::ffff:909:909%7]:9000"] {
        let object = format!(r#"{{"listen_addr":"{spelled}","remote_addr":"{spelled}"}}"#);
        let joined = join(&object).unwrap();
        assert_eq!((joined.listen_addr, joined.remote_addr), (plain, plain), "{spelled}");
        let record = peers(&object, 64).unwrap().remove(0);
        assert_eq!((record.listen_addr, record.remote_addr), (plain, plain), "{spelled}");
    }
    let zoned = join(r#"{"listen_addr":"[2a00::1%7]:9000"}"#).unwrap();
    assert_eq!(zoned.listen_addr, "[2a00::1]:9000".parse().ok());
}

#[test]
fn types_are_compared_byte_by_byte() {
    for line in ["", "\r"] {
        assert_eq!(parse(Line::Text(line), 64), Ok(Parsed::Blank));
    }
    for line in ["msg|x", "MSGS|x", " MSG|x", "HELLO", "CHATS|x", "|", "|MSG|x", " "] {
        assert_eq!(parse(Line::Text(line), 64), Ok(Parsed::Unknown), "{line:?}");
    }
}

#[test]
fn a_known_type_without_a_payload_is_malformed() {
    for line in ["JOIN", "JOIN|", "PEERS", "MSG", "MSG|", "MSG|\r", "PING", "PING|", "PONG|", "BYE", "BYE|"] {
        assert_eq!(parse(Line::Text(line), 64), Err(FrameError::NoPayload), "{line:?}");
    }
    assert_eq!(peers("", 64), Ok(vec![]));
}

#[test]
fn a_line_of_any_type_that_is_not_utf8_is_malformed() {
    for line in [&b"MSG|\xff"[..], b"JOIN|{\"uname\":\"\xc3\"}", b"WHAT|\xed\xa0\x80", b"\xff"] {
        assert_eq!(parse(Line::new(line), 64), Err(FrameError::NotUtf8));
    }
}

#[test]
fn a_message_is_the_rest_of_the_line() {
    assert_eq!(frame("MSG|a|b é;\t "), Ok(Frame::Msg("a|b é;\t ")));
    assert_eq!(frame("MSG|a\rb\r\r"), Ok(Frame::Msg("a\rb")));
    assert_eq!(encoded(&Frame::Msg("a\nJOIN|{}\nb")), "MSG|a JOIN|{} b\n");
    let longest = "x".repeat(MAX_LINE - 5);
    assert_eq!(encoded(&Frame::Msg(&longest)).len(), MAX_LINE);
}

#[test]
fn a_token_has_at_most_32_printable_characters() {
    let longest = "t".repeat(Token::MAX);
    let token = Token::new(&longest).unwrap();
    assert_eq!(frame(&format!("PING|{longest}")), Ok(Frame::Ping(token)));
    assert_eq!(encoded(&Frame::Pong(token)), format!("PONG|{longest}\n"));
    for token in [&format!("{longest}t"), "a b", "a|b", "a;b", "é", "\0"] {
        assert_eq!(frame(&format!("PONG|{token}")), Err(FrameError::Token), "{token:?}");
    }
}

#[test]
fn bye_has_a_code_and_an_optional_text() {
    let words =
        ["shutdown", "duplicate", "full", "self", "refused", "violation", "network", "taken", "other"];
    for word in words {
        let code = ByeCode::from_word(word);
        assert_eq!(encoded(&Frame::Bye(code, "why")), format!("BYE|{word}|why\n"));
    }
    assert_eq!(frame("BYE|full"), Ok(Frame::Bye(ByeCode::Full, "")));
    assert_eq!(frame("BYE|full|a|b"), Ok(Frame::Bye(ByeCode::Full, "a|b")));
    assert_eq!(frame("BYE|Full|"), Ok(Frame::Bye(ByeCode::Other, "")));
    assert_eq!(encoded(&Frame::Bye(ByeCode::Full, "a\nb")), "BYE|full|a b\n");
}

#[test]
fn the_text_of_bye_is_cut_at_the_end_of_a_character() {
    for (text, len) in
        [("x".repeat(199), 199), ("x".repeat(200), 200), ("x".repeat(201), 200), ("é".repeat(101), 200)]
    {
        assert_eq!(encoded(&Frame::Bye(ByeCode::Full, &text)).len(), "BYE|full|\n".len() + len);
        let line = format!("BYE|full|{text}");
        assert_eq!(frame(&line), Ok(Frame::Bye(ByeCode::Full, &text[..len])));
    }
    assert_eq!(encoded(&Frame::Bye(ByeCode::Full, &format!("x{}", "é".repeat(100)))).len(), 10 + 199);
}

#[test]
fn every_member_of_a_version_1_join_is_optional() {
    assert_eq!(join("{}"), Ok(Join::default()));
    let nulls = r#"{"listen_addr":null,"node_id":null,"uname":null,"remote_addr":null,"v":null}"#;
    assert_eq!(join(nulls), Ok(Join::default()));
    let full = format!(
        r#" {{"listen_addr":"127.0.0.1:8080","node_id":"{ID}","uname":"Al\u0069ce","remote_addr":"[::1]:9","x":[{{}}]}} "#
    );
    let expected = Join {
        node_id: Some(ID.parse().unwrap()),
        uname: Name::cut("Alice"),
        listen_addr: Some("127.0.0.1:8080".parse().unwrap()),
        remote_addr: Some("[::1]:9".parse().unwrap()),
        hello: None,
    };
    assert_eq!(join(&full), Ok(expected));
}

#[test]
fn a_join_with_a_value_of_the_wrong_type_is_malformed() {
    let shapes = [
        "null",
        "[]",
        "[null,null,null,null]",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        r#"{"uname":5}"#,
        r#"{"node_id":[]}"#,
        r#"{"listen_addr":8080}"#,
        r#"{"remote_addr":{}}"#,
        r#"{"uname":"a","uname":"b"}"#,
        r#"{"v":"2"}"#,
        r#"{"v":-2}"#,
        r#"{"v":2,"nonce":"n","links":"3"}"#,
        r#"{"uname":"\ud800"}"#,
    ];
    for json in shapes {
        assert_eq!(join(json), Err(FrameError::Json), "{json}");
    }
}

#[test]
fn a_text_that_is_no_uuid_is_the_id_that_stands_for_it() {
    let id = |json: &str| join(json).unwrap().node_id;
    assert_eq!(id(r#"{"node_id":"abc123"}"#), NodeId::of_text("abc123"));
    assert_eq!(id(r#"{"node_id":""}"#), None);
}

#[test]
fn a_text_that_is_not_an_address_counts_as_absent() {
    for text in ["localhost:8080", "127.0.0.1", "127.0.0.1:99999", "", "é"] {
        assert_eq!(join(&format!(r#"{{"listen_addr":"{text}"}}"#)), Ok(Join::default()), "{text}");
    }
    // Leading zeros of a port are legal, so an address can have any length.
    for (len, read) in [(MAX_ADDRESS - 1, true), (MAX_ADDRESS, true), (MAX_ADDRESS + 1, false)] {
        let text = format!("1.2.3.4:{:0>width$}", 80, width = len - 8);
        let join = join(&format!(r#"{{"listen_addr":"{text}"}}"#)).unwrap();
        assert_eq!(join.listen_addr.is_some(), read, "{len}");
    }
}

#[test]
fn a_long_name_is_cut() {
    let join = join(&format!(r#"{{"uname":"{}"}}"#, "é".repeat(33))).unwrap();
    assert_eq!(join.uname.unwrap().as_str(), "é".repeat(32));
}

#[test]
fn version_2_needs_a_nonce() {
    let hello = |json: &str| join(json).map(|join| join.hello.map(|hello| (hello.version, hello.links)));
    for json in ["{}", r#"{"v":0}"#, r#"{"v":1,"nonce":5,"links":"x"}"#, r#"{"v":1.9,"nonce":"n"}"#] {
        assert_eq!(hello(json), Ok(None), "{json}");
    }
    for (v, version) in
        [("2", 2), ("2.5", 2), ("4294967295", u32::MAX), ("4294967296", u32::MAX), ("1e300", u32::MAX)]
    {
        assert_eq!(hello(&format!(r#"{{"nonce":"n","v":{v}}}"#)), Ok(Some((version, 0))), "{v}");
    }
    for (links, clamped) in
        [("null", 0), ("65534", 65_534), ("65535", 65_535), ("65536", 65_535), ("1e19", 65_535)]
    {
        assert_eq!(hello(&format!(r#"{{"v":2,"nonce":"n","links":{links}}}"#)), Ok(Some((2, clamped))));
    }
    for json in [r#"{"v":2}"#, r#"{"v":2,"nonce":null}"#, r#"{"v":2,"nonce":""}"#, r#"{"v":2,"nonce":"a;b"}"#]
    {
        assert_eq!(hello(json), Err(FrameError::Token), "{json}");
    }
}

#[test]
fn join_is_written_with_every_member_of_version_1() {
    let nothing = r#"JOIN|{"listen_addr":null,"node_id":null,"uname":null,"remote_addr":null}"#;
    assert_eq!(encoded(&Frame::Join(Box::default())), format!("{nothing}\n"));
    let join = Join {
        node_id: Some(ID.parse().unwrap()),
        uname: Name::cut("a;\"\u{1}"),
        listen_addr: Some("[::1]:8080".parse().unwrap()),
        remote_addr: None,
        hello: Some(Hello {
            links: 7,
            network: NetworkId::named("club"),
            now: Some(8),
            ..Hello::new(Token::new(r#"n"\"#).unwrap())
        }),
    };
    let expected = [
        r#"JOIN|{"listen_addr":"[::1]:8080","node_id":""#,
        ID,
        r#"","uname":"a\u003b\"\u0001","remote_addr":null,"v":2,"nonce":"n\"\\","links":7,"net":"UY_zrhyyT0ybay8phIBoEQ","now":8}"#,
        "\n",
    ];
    assert_eq!(encoded(&Frame::Join(Box::new(join))), expected.concat());
}

#[test]
fn peers_are_objects_with_any_separators_between() {
    let expected = vec![named("a;b"), named("};{"), PeerRecord::default()];
    for payload in [
        r#"{"uname":"a;b"};{"uname":"};{"};{}"#,
        r#";; {"uname":"a;b"} ;;{"uname":"};{"}{};"#,
        "{\"uname\":\"a;b\"}\t;{\"uname\":\"\\u007d\\u003b{\"};{} ; ",
    ] {
        assert_eq!(peers(payload, 64).as_ref(), Ok(&expected), "{payload}");
    }
    let line = encoded(&Frame::Peers(expected));
    assert_eq!(line.matches(';').count(), 2);
}

#[test]
fn an_entry_of_peers_that_cannot_be_read_costs_itself_alone() {
    for entry in
        ["5", ",{}", "{", "[{}]", "null", "x", r#""y""#, r#"{"uname":1}"#, r#"{"uname":"a","uname":"b"}"#]
    {
        assert_eq!(peers(entry, 64), Err(FrameError::Json), "{entry}");
        let among_others = format!(r#"{{"uname":"a"}};{entry};{{"uname":"b"}}"#);
        assert_eq!(peers(&among_others, 64), Ok(vec![named("a"), named("b")]), "{entry}");
        assert_eq!(peers(&among_others, 2), Ok(vec![named("a")]), "it counts: {entry}");
    }
}

#[test]
fn a_wrong_value_in_peers_counts_as_absent() {
    let payload = r#"{"node_id":"","listen_addr":"y:1","uname":"a","v":{},"nonce":1};{"uname":"b"}"#;
    assert_eq!(peers(payload, 64), Ok(vec![named("a"), named("b")]));
}

#[test]
fn only_the_first_entries_of_peers_are_read() {
    for (there, read) in [(63, 63), (64, 64), (65, 64)] {
        assert_eq!(peers(&"{};".repeat(there), 64).unwrap().len(), read);
    }
    assert_eq!(peers("{};{};not JSON", 2).unwrap().len(), 2);
    assert_eq!(peers("not JSON", 0), Ok(vec![]));
    assert_eq!(peers(&"{};".repeat(20_000), 64).unwrap().len(), 64);
}

#[test]
fn deeply_nested_json_is_malformed_in_any_place() {
    let array = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let object = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for deep in [array, object] {
        for json in [deep.clone(), format!(r#"{{"uname":{deep}}}"#), format!(r#"{{"unknown":{deep}}}"#)] {
            assert_eq!(join(&json), Err(FrameError::Json));
            assert_eq!(peers(&json, 64), Err(FrameError::Json));
        }
    }
    assert!(join(&format!(r#"{{"unknown":{}{}}}"#, "[".repeat(100), "]".repeat(100))).is_ok());
}

#[test]
fn entries_of_peers_that_do_not_fit_a_line_are_left_out() {
    let record = PeerRecord { uname: Name::cut(&"\u{1}".repeat(64)), ..PeerRecord::default() };
    let line = encoded(&Frame::Peers(vec![record; 1000]));
    assert!(line.len() <= MAX_LINE && line.len() > MAX_LINE - 1000);
    assert!(peers(line.strip_prefix("PEERS|").unwrap().trim_end(), 1000).unwrap().len() > 100);
}
