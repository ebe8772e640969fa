//! What lines mean, as JSON.

use proto_core::wire::{self, Chunk, Frame, Join, LineReader, Parsed, PeerRecord, RangeQuery, TreeClaim};
use proto_core::{Limits, NetworkId, RunId, Violation};
use serde_json::{Map, Value, json};

use super::pieces::brief;
use super::to_hex;

/// What each line of these bytes is, up to one that is too long.
pub(super) fn reads(bytes: &[u8], mut joined: bool) -> Vec<Value> {
    let limits = Limits::default();
    let mut reader = LineReader::new();
    let mut chunk = Chunk::new(bytes);
    let mut reads = Vec::new();
    loop {
        let limit = if joined { limits.wire.line } else { limits.wire.line_before_join };
        let parsed = match reader.next_line(&mut chunk, limit) {
            None => return reads,
            Some(Err(_)) => {
                reads.push(json!({"error": Violation::LineTooLong}));
                return reads;
            }
            Some(Ok(line)) => wire::parse(line, limits.wire.peers_read),
        };
        joined |= matches!(parsed, Ok(Parsed::Frame(Frame::Join(_))));
        reads.push(match parsed {
            Ok(Parsed::Blank) => json!("blank"),
            Ok(Parsed::Unknown) => json!("unknown"),
            Ok(Parsed::Frame(frame)) => of_frame(&frame),
            Ok(other) => panic!("unknown frame: {other:?}"),
            Err(error) => json!({"error": error}),
        });
    }
}

fn of_frame(frame: &Frame<'_>) -> Value {
    match frame {
        Frame::Join(join) => json!({"JOIN": of_join(join)}),
        Frame::Peers(records) => json!({"PEERS": records.iter().map(of_record).collect::<Vec<_>>()}),
        Frame::Msg(text) => json!({"MSG": brief(text)}),
        Frame::Ping(token) => json!({"PING": token}),
        Frame::Pong(token) => json!({"PONG": token}),
        Frame::Bye(code, text) => json!({"BYE": [code.word(), text]}),
        Frame::Proof(signature) => json!({"PROOF": signature.to_string()}),
        Frame::Links(ids) => json!({"LINKS": ids}),
        Frame::Chat(sealed) => {
            json!({"CHAT": {"id": sealed.id(NetworkId::OPEN), "signature": sealed.signature.to_string()}})
        }
        Frame::Ihave(ids) => json!({"IHAVE": ids}),
        Frame::Graft(ids) => json!({"GRAFT": ids}),
        Frame::Lack(ids) => json!({"LACK": ids}),
        Frame::Range(RangeQuery { run: RunId { room, class, key, epoch, .. }, first, last, tag, .. }) => {
            let numbers = json!({"epoch": epoch, "first": first, "last": last, "tag": tag});
            json!({"RANGE": {"room": room, "class": class.word(), "key": key.to_string(), "numbers": numbers}})
        }
        Frame::Held(end) => json!({"HELD": {"tag": end.tag, "next": end.next}}),
        Frame::Tree(claim) => json!({"TREE": of_claim(claim)}),
        Frame::Sync(bytes) => json!({"SYNC": to_hex(bytes)}),
        other => panic!("unknown frame: {other:?}"),
    }
}

fn of_join(join: &Join) -> Value {
    let mut record = PeerRecord::default();
    record.uname.clone_from(&join.uname);
    record.node_id = join.node_id;
    (record.listen_addr, record.remote_addr) = (join.listen_addr, join.remote_addr);
    let mut value = of_record(&record);
    if let Some(hello) = &join.hello {
        value["v"] = json!(hello.version);
        value["nonce"] = json!(hello.nonce);
        value["links"] = json!(hello.links);
        if let Some(key) = hello.key {
            value["key"] = json!(key);
        }
        if !hello.network.is_open() {
            value["net"] = json!(hello.network);
        }
        if let Some(now) = hello.now {
            value["now"] = json!(now);
        }
    }
    value
}

fn of_record(record: &PeerRecord) -> Value {
    said([
        ("node_id", json!(record.node_id)),
        ("uname", json!(record.uname)),
        ("listen_addr", json!(record.listen_addr)),
        ("remote_addr", json!(record.remote_addr)),
    ])
}

/// What a `TREE` says.
pub(super) fn of_claim(claim: &TreeClaim) -> Value {
    said([
        ("root", json!(claim.root)),
        ("period", json!(claim.period)),
        ("sequence", json!(claim.sequence)),
        ("signature", json!(claim.signature.to_string())),
        ("distance", json!(claim.distance)),
        ("parent", json!(claim.parent)),
    ])
}

/// An object without what is null.
fn said<const N: usize>(values: [(&str, Value); N]) -> Value {
    let said = values.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(said.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}
