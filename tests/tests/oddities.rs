//! What is odd about the conversation is shown as such: by the API, on a WebSocket and on the terminal.

use std::collections::{BTreeSet, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::http;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, node_id, short};
use tests::pty::{OnTerminal, Terminal};
use tests::raw::RawPeer;
use tests::signer::Signer;
use tungstenite::{Message, WebSocket};

const ALONE: &str = "you are connected to nobody: no one sees your messages until a peer connects";
const CLOCK: &str = "your clock is 3 min ahead of the other node's clock: one of the two is wrong";
const MISSING: &str = "1 message from Eve is missing";

/// Bob on a terminal, and a WebSocket to him.
struct Bob {
    terminal: Terminal,
    api: SocketAddr,
    socket: WebSocket<TcpStream>,
    /// Events of other kinds than were looked for.
    waiting: VecDeque<Value>,
}

impl Bob {
    fn start(driver: Driver) -> Self {
        let terminal = OnTerminal::new(driver, "Bob").with_api().env("TZ", "UTC").start();
        let api = terminal.expect("where its API is", |screen| {
            let (_, url) = screen.lines.iter().find_map(|line| line.split_once("http://"))?;
            url.parse().ok()
        });
        let stream = TcpStream::connect(api).unwrap();
        // A gap is told 8 s after nobody is left who may fill it.
        stream.set_read_timeout(Some(5 * Duration::from_secs(8))).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{api}/ws"), stream).unwrap();
        Self { terminal, api, socket, waiting: VecDeque::new() }
    }

    /// The next event of this kind: the value of its key, and the whole of it.
    #[track_caller]
    fn event(&mut self, kind: &str) -> (Value, Value) {
        let is = |event: &Value| event.get(kind).is_some();
        while !self.waiting.iter().any(is) {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.waiting.push_back(serde_json::from_str(&text).unwrap()),
                Ok(_) => {}
                Err(error) => panic!("waited for {kind}: {error}; {:#?}", self.terminal.shown()),
            }
        }
        let event = self.waiting.iter().position(is).and_then(|index| self.waiting.remove(index)).unwrap();
        (event[kind].clone(), event)
    }

    /// The next message is this one of Eve's, with these marks, on the WebSocket and on the terminal.
    #[track_caller]
    fn expect_message(&mut self, eve: &Signer, text: &str, marks: &[&str]) {
        let (message, event) = self.event("MessageReceived");
        assert_eq!(message, json!({ "from": "Eve", "content": text }));
        assert_eq!((&event["node_id"], &event["signed"]), (&json!(eve.node_id()), &json!(true)), "{event}");
        for mark in ["late", "forked", "backdated", "history", "name taken"] {
            let key = mark.replace(' ', "_");
            assert_eq!(event["entry"][key] == true, marks.contains(&mark), "{mark}: {event}");
        }
        let id = eve.node_id().short().to_string();
        let facts = [&[&*id], marks].concat().join(", ");
        self.terminal.expect_line(&format!("Eve ({facts}): {text}"));
    }

    /// The next message is this one of Eve's, from before Bob came: it is shown with its date.
    #[track_caller]
    fn expect_history(&mut self, eve: &Signer, text: &str, at: u64) {
        let (message, event) = self.event("MessageReceived");
        assert_eq!(message, json!({ "from": "Eve", "content": text }));
        assert_eq!(
            (&event["entry"]["history"], &event["entry"]["at"]),
            (&json!(true), &json!(at)),
            "{event}"
        );
        let date =
            jiff::Timestamp::from_millisecond(at as i64).unwrap().strftime("%Y-%m-%d %H:%M").to_string();
        self.terminal.expect_line(&format!("Eve ({}, {date}): {text}", eve.node_id().short()));
    }

    /// The next notice is this one, on the WebSocket and on the terminal.
    #[track_caller]
    fn expect_notice(&mut self, notice: &Value, text: &str) {
        let (told, event) = self.event("Notice");
        assert_eq!((&told, &event["text"]), (notice, &json!(text)));
        self.terminal.expect_line(&format!("* {text}"));
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        http::get(self.api, path).unwrap().json()
    }

    #[track_caller]
    fn expect_concerns(&self, concerns: &[&str]) {
        let notices = || self.get("/status")["notices"].take();
        eventually(&format!("{concerns:?}"), SOON, || notices() == json!(concerns));
    }
}

/// The time, so many seconds ago.
fn ago(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as u64 - seconds * 1000
}

#[test]
fn a_gap_and_what_fills_it_late_and_a_fork_are_shown_as_such() {
    Driver::each(|driver| {
        let mut bob = Bob::start(driver);
        let eve = Signer::join(bob.terminal.addr(), "Eve");
        let at = ago(0);
        eve.say(0, at, "zero");
        bob.expect_message(&eve, "zero", &[]);
        let one = eve.sign(1, at + 1, "one");
        eve.say(2, at + 2, "two");
        eve.deny_range();
        let gap = json!({"Gap": {"node_id": eve.node_id(), "uname": "Eve", "missing": 1}});
        bob.expect_notice(&gap, MISSING);
        bob.expect_message(&eve, "two", &[]);
        bob.expect_concerns(&[MISSING]);
        let gap = json!([{"node_id": eve.node_id(), "uname": "Eve", "epoch": 1, "from": 1, "to": 2}]);
        assert_eq!(bob.get("/status")["gaps"], gap);

        eve.send(&one);
        bob.expect_message(&eve, "one", &["late"]);
        bob.expect_concerns(&[]);
        eve.say(3, at, "three");
        bob.expect_message(&eve, "three", &["backdated"]);
        eve.say(2, at + 3, "another two");
        bob.expect_message(&eve, "another two", &["late", "forked"]);
        eve.say(1, at + 1, "another one");
        bob.expect_message(&eve, "another one", &["late", "forked"]);

        // Once it has its place in the conversation, what was late is not behind what it came after.
        let messages = bob.get("/messages");
        let texts: Vec<_> = messages.as_array().unwrap().iter().map(|it| it["content"].clone()).collect();
        // Both versions of a fork are marked, the one too that nobody knew to be one when it came.
        let forked = messages.as_array().unwrap().iter().filter(|it| it["entry"]["forked"] == true);
        let forked: BTreeSet<_> = forked.filter_map(|it| it["content"].as_str()).collect();
        assert_eq!(forked, BTreeSet::from(["one", "another one", "two", "another two"]));
        let place = |text: &str| texts.iter().position(|it| it == text);
        assert!(place("zero") < place("one") && place("one") < place("two"), "{texts:?}");
    });
}

#[test]
fn a_clock_that_is_off_is_told_to_its_user() {
    Driver::each(|driver| {
        let mut bob = Bob::start(driver);
        let eve = Signer::join(bob.terminal.addr(), "Eve");
        let at = ago(185);
        eve.say(0, at, "it was three minutes ago here");
        bob.expect_history(&eve, "it was three minutes ago here", at);
        let (told, event) = bob.event("Notice");
        let ahead_ms = told["ClockOff"]["ahead_ms"].as_i64().unwrap();
        // The node learns of a step of its clock when it is more than half a second.
        assert!((184_500..240_000).contains(&ahead_ms), "{event}");
        assert_eq!(event["text"], CLOCK);
        bob.terminal.expect_line(&format!("* {CLOCK}"));
        bob.expect_concerns(&[CLOCK]);
        assert_eq!(bob.get("/status")["clock_ahead_ms"], ahead_ms);
    });
}

#[test]
fn that_nobody_hears_and_that_nobody_signed_is_shown_too() {
    Driver::each(|driver| {
        let mut bob = Bob::start(driver);
        bob.expect_concerns(&[ALONE]);
        bob.terminal.keys("is anybody there?\r");
        bob.expect_notice(&json!("Alone"), ALONE);

        let (dora, id) = RawPeer::join(bob.terminal.addr(), "Dora");
        dora.send("MSG|me\n");
        let (message, event) = bob.event("MessageReceived");
        assert_eq!(message, json!({"from": "Dora", "content": "me"}));
        assert_eq!((&event["node_id"], &event["signed"]), (&json!(id), &json!(false)), "{event}");
        bob.terminal.expect_line(&format!("Dora ({}, unsigned): me", short(&id)));
        bob.expect_concerns(&[]);

        let sent = http::post(bob.api, "/send", &json!({"msg": "who is me?"})).unwrap();
        assert_eq!(sent.status, 200, "{sent:?}");
        let id = node_id(bob.terminal.addr());
        bob.terminal.expect_line(&format!("Bob ({}, you): who is me?", short(&id)));
    });
}

#[test]
fn a_known_name_with_another_key_is_marked() {
    Driver::each(|driver| {
        let mut bob = Bob::start(driver);
        let [eve, other] = [(); 2].map(|()| Signer::join(bob.terminal.addr(), "Eve"));
        eve.say(0, ago(0), "I am Eve");
        bob.expect_message(&eve, "I am Eve", &[]);
        other.say(0, ago(0), "so am I");
        let notice =
            json!({"NameTaken": {"node_id": other.node_id(), "uname": "Eve", "holder": eve.node_id()}});
        let (new, known) = (other.node_id().short(), eve.node_id().short());
        let text = format!("Eve ({new}) goes by the name of Eve ({known}): it may be somebody else");
        let (told, event) = bob.event("Notice");
        assert_eq!((&told, &event["text"]), (&notice, &json!(text)));
        bob.expect_message(&other, "so am I", &["name taken"]);
        eve.say(1, ago(0), "I am still Eve");
        bob.expect_message(&eve, "I am still Eve", &[]);
    });
}
