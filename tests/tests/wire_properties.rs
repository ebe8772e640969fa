//! What holds for every line and every frame.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use proto_core::wire::{
    ByeCode, Chunk, Frame, Hello, Join, Line, LineReader, MAX_LINE, Parsed, PeerRecord, RangeEnd, Token,
    parse,
};
use proto_core::{
    ChatText, Draft, Entry, EntryId, Identity, Limits, MAX_NUMBER, Name, NetworkId, NodeId, Opened, Room,
    RunPosition, Sealed, Signature, Via,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_lines_of_the_definition(
        stream in stream(),
        sizes in prop::collection::vec(0..50_u8, 0..50),
        limit in 0..60_usize,
    ) {
        tests::fuzz::check_lines(&stream, &sizes, limit);
    }

    #[test]
    fn parsing_never_panics(line in prop::collection::vec(any::<u8>(), 0..200), peers_read in 0..5_usize) {
        let _ = parse(Line::new(&line), peers_read);
    }

    #[test]
    fn what_is_read_can_be_written(
        kind in prop::sample::select(vec!["JOIN", "PEERS", "MSG", "PING", "PONG", "BYE", "NEW"]),
        payload in r#"(\PC|[{}\[\]:,;"'|\r]|"(v|nonce|links|uname|node_id)":|null|-?[0-9]{1,5}|\{\};?){0,30}"#,
    ) {
        let line = format!("{kind}|{payload}");
        if let Ok(Parsed::Frame(frame)) = parse(Line::Text(&line), 64) {
            check_return(&frame)?;
        }
    }

    #[test]
    fn join_returns_and_fits_what_is_read_before_it(join in join()) {
        let frame = Frame::Join(join.into());
        prop_assert!(encoded(&frame).len() <= Limits::default().wire.line_before_join);
        check_return(&frame)?;
    }

    #[test]
    fn peers_return_with_a_semicolon_between_entries_alone(
        records in prop::collection::vec(record(), 0..=64),
    ) {
        let line = encoded(&Frame::Peers(records.clone()));
        prop_assert_eq!(line.iter().filter(|byte| **byte == b';').count(), records.len().saturating_sub(1));
        check_return(&Frame::Peers(records))?;
    }

    #[test]
    fn an_address_is_read_in_one_spelling((ip, port) in any::<(Ipv4Addr, u16)>()) {
        let record = |ip: IpAddr| {
            let mut record = PeerRecord::default();
            record.listen_addr = Some((ip, port).into());
            record
        };
        let line = encoded(&Frame::Peers(vec![record(ip.to_ipv6_mapped().into())]));
        let line = str::from_utf8(&line).expect("UTF-8").trim_end();
        prop_assert_eq!(parse(Line::Text(line), 1), Ok(Parsed::Frame(Frame::Peers(vec![record(ip.into())]))));
    }

    #[test]
    fn what_can_be_said_returns(text in text().prop_filter_map("no text", |text| ChatText::new(text).ok())) {
        check_return(&Frame::Msg(text.as_str()))?;
    }

    #[test]
    fn opening_an_entry_never_panics(
        header in r#"(\PC|[{}\[\]:,;"]|"(room|class|key|epoch|seq|prev|at|kind|size|hash|via)":|null|-?[0-9]{1,5}|"text"){0,30}"#,
        body in r#"(\PC|[{}\[\]:,;"]|"(uname|speaker|texts|to|salt)":|null|-?[0-9]{1,5}){0,30}"#,
    ) {
        let sealed = Sealed { signature: Signature::from_bytes([0; 64]), header: &header, body: &body };
        prop_assert!(sealed.open(NetworkId::OPEN).is_err());
    }

    #[test]
    fn tokens_return(token in token()) {
        check_return(&Frame::Ping(token))?;
        check_return(&Frame::Pong(token))?;
    }

    #[test]
    fn ranges_return(
        (room, class, secret) in (room(), prop::sample::select(vec!["", "line", "x-1", "live"]), any::<[u8; 32]>()),
        (epoch, first, more, tag) in (0..=MAX_NUMBER, 0..=MAX_NUMBER, 0..1_000_000_u64, 0..=MAX_NUMBER),
    ) {
        let key = Identity::from_secret(&secret).key();
        let last = first.saturating_add(more).min(MAX_NUMBER);
        let room = room.map_or_else(String::new, |room| percent(room.as_str()));
        let text = format!("RANGE|{room};{class};{key};{epoch};{first}-{last};{tag}");
        let Ok(Parsed::Frame(frame)) = parse(Line::Text(&text), 0) else { panic!("{text}") };
        prop_assert_eq!(encoded(&frame), format!("{text}\n").into_bytes());
        check_return(&frame)?;
        check_return(&Frame::Held(RangeEnd::new(tag, last + 1).expect("legal numbers")))?;
    }

    #[test]
    fn reading_a_range_never_panics(fields in "[0-9%;|a-fA-F+-]{0,60}") {
        for kind in ["RANGE", "HELD", "LACK"] {
            let text = format!("{kind}|{fields}");
            if let Ok(Parsed::Frame(frame)) = parse(Line::Text(&text), 0) {
                check_return(&frame)?;
            }
        }
    }

    #[test]
    fn bye_returns(code in code(), text in text()) {
        check_return(&Frame::Bye(code, &text[..text.floor_char_boundary(200)]))?;
    }

    #[test]
    fn no_text_makes_a_second_line(code in code(), text in any::<String>(), at in any::<prop::sample::Index>()) {
        let mut text = text;
        text.insert_str(text.floor_char_boundary(at.index(text.len() + 1)), "\nJOIN|{}\n");
        for frame in [Frame::Msg(&text), Frame::Bye(code, &text)] {
            prop_assert_eq!(line_ends(&encoded(&frame)), 1);
        }
    }
}

proptest! {
    // Signing is slow.
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_return(
        (room, numbers, uname, texts) in (room(), (0..=MAX_NUMBER, 0..=MAX_NUMBER, 0..=MAX_NUMBER), name(), texts()),
        (to, via, salt) in (prop::collection::vec(node_id(), 0..4), prop::option::of(name()), any::<[u8; 16]>()),
    ) {
        let (epoch, seq, at) = numbers;
        let uname = uname.unwrap_or_else(|| "x".parse().expect("a name"));
        let via = via.flatten().map(|name| Via::new(NodeId::from_bytes([7; 16]), name));
        let prev = EntryId::from_bytes([seq as u8; 32]);
        let position = RunPosition::new(seq, prev).unwrap_or(RunPosition::FIRST);
        let mut draft = Draft::new(epoch, position, at, &uname, &texts, salt);
        (draft.room, draft.to, draft.via) = (room.as_ref(), &to, via.as_ref());
        let entry = Entry::sign(&Identity::from_secret(&[1; 32]), &draft);
        check_return(&Frame::Chat(entry.sealed()))?;
        prop_assert!(!entry.sealed().header.contains('|'));
        let opened = entry.sealed().open(entry.network());
        prop_assert_eq!(opened, Ok(Opened::Entry(entry.clone())));
        prop_assert!(entry.texts().eq(texts.iter().map(ChatText::as_str)));
        let without = Sealed { body: "", ..entry.sealed() };
        let Ok(Opened::Gone(gone)) = without.open(entry.network()) else { panic!("{without:?}") };
        prop_assert_eq!((gone.header(), gone.position()), (entry.header(), position));
    }
}

fn room() -> impl Strategy<Value = Option<Room>> {
    any::<Option<String>>().prop_map(|text| text.and_then(|text| text.parse().ok()))
}

/// The name of a room as it stands in `RANGE`.
fn percent(name: &str) -> String {
    name.replace('%', "%25").replace(';', "%3B").replace('|', "%7C")
}

fn texts() -> impl Strategy<Value = Vec<ChatText>> {
    let text = text().prop_filter_map("no text", |text| ChatText::new(text).ok());
    prop::collection::vec(text, 1..5)
}

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 16]>().prop_map(NodeId::from_bytes)
}

/// Encoded, cut out as a line and parsed, a frame is what it was.
fn check_return(frame: &Frame<'_>) -> Result<(), TestCaseError> {
    let line = encoded(frame);
    prop_assert!(line.len() <= MAX_LINE);
    prop_assert_eq!(line_ends(&line), 1);
    let mut reader = LineReader::new();
    let mut chunk = Chunk::new(&line);
    let read = reader.next_line(&mut chunk, line.len()).expect("it ends").expect("it fits");
    prop_assert_eq!(parse(read, usize::MAX), Ok(Parsed::Frame(frame.clone())));
    Ok(())
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    frame.encode(&mut line);
    line
}

fn line_ends(line: &[u8]) -> usize {
    line.iter().filter(|byte| **byte == b'\n').count()
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn join() -> impl Strategy<Value = Join> {
    let hello = (2_u32.., token(), any::<u16>()).prop_map(|(version, nonce, links)| {
        let mut hello = Hello::new(nonce);
        (hello.version, hello.links) = (version, links);
        hello
    });
    (record(), prop::option::of(hello)).prop_map(|(record, hello)| {
        let mut join = Join::default();
        (join.node_id, join.uname) = (record.node_id, record.uname);
        (join.listen_addr, join.remote_addr) = (record.listen_addr, record.remote_addr);
        join.hello = hello;
        join
    })
}

fn record() -> impl Strategy<Value = PeerRecord> {
    let node_id = prop::option::of(any::<[u8; 16]>().prop_map(NodeId::from_bytes));
    // What is read has the one spelling of an address (SPEC 2.5.4).
    let spelled_once = |(ip, port): (IpAddr, u16)| SocketAddr::new(ip.to_canonical(), port);
    let address = || prop::option::of(any::<(IpAddr, u16)>().prop_map(spelled_once));
    (node_id, name(), address(), address()).prop_map(|(node_id, uname, listen_addr, remote_addr)| {
        let mut record = PeerRecord::default();
        (record.node_id, record.uname) = (node_id, uname);
        (record.listen_addr, record.remote_addr) = (listen_addr, remote_addr);
        record
    })
}

fn name() -> impl Strategy<Value = Option<Name>> {
    let char = prop_oneof![any::<char>(), prop::char::range('\0', '\u{7f}'), Just(';'), Just('"')];
    prop::collection::vec(char, 0..70).prop_map(|chars| Name::cut(&String::from_iter(chars)))
}

fn token() -> impl Strategy<Value = Token> {
    "[!-:<-{}~]{1,32}".prop_map(|text| Token::new(&text).expect("the pattern is that of a token"))
}

fn code() -> impl Strategy<Value = ByeCode> {
    use ByeCode::{Duplicate, Full, Other, Refused, SelfLink, Shutdown, Violation};
    prop::sample::select(vec![Shutdown, Duplicate, Full, SelfLink, Refused, Violation, Other])
}

/// One line.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace(['\n', '\r'], " "))
}
