//! The page in a headless Chromium: two pages on two nodes say, see, lose the node and get it back; a page tells what is
//! odd; a page behind a port forward needs the token.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tests::http;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch};
use tests::raw::RawPeer;
use tests::signer::Signer;
use tests::webdriver::Browser;

/// The key that sends (W3C WebDriver, section 17.4.2).
const ENTER: char = '\u{e007}';

/// Types a message and sends it.
#[track_caller]
fn say(browser: &Browser, text: &str) {
    browser.type_into("#message", text);
    browser.type_into("#message", &ENTER.to_string());
    browser.expect("an empty box", SOON, "return document.getElementById('message').value === ''");
}

/// Waits until the conversation shows this, from this speaker, as text.
#[track_caller]
fn expect_message(browser: &Browser, from: &str, text: &str) {
    let script = format!(
        "return [...document.querySelectorAll('#log .message')].some(message => \
         message.querySelector('.name').textContent === {} && message.querySelector('.text').textContent === {})",
        json!(from),
        json!(text)
    );
    browser.expect(&format!("{from}: {text}"), SOON, &script);
}

/// Waits until the messages that were signed are these, in this order.
#[track_caller]
fn expect_conversation(browser: &Browser, texts: &[&str]) {
    let script = format!(
        "return JSON.stringify([...document.querySelectorAll('#log .message:not(:has(.mark)) .text')] \
         .map(text => text.textContent)) === {}",
        json!(json!(texts).to_string())
    );
    browser.expect(&format!("{texts:?}"), SOON, &script);
}

/// Whether all messages of this speaker are marked so, and show a part of its id.
#[track_caller]
fn expect_marks(browser: &Browser, from: &str, marks: &[&str]) {
    let script = format!(
        "const messages = [...document.querySelectorAll('#log .message')] \
         .filter(message => message.querySelector('.name').textContent === {}); \
         return messages.length > 0 && messages.every(message => \
         JSON.stringify([...message.querySelectorAll('.mark')].map(mark => mark.textContent)) === {} \
         && /^[0-9a-f]{{16}}$/.test(message.querySelector('.short-id').textContent))",
        json!(from),
        json!(json!(marks).to_string())
    );
    browser.expect(&format!("{from} marked {marks:?}"), SOON, &script);
}

/// Waits until a message of Eve's is marked so.
#[track_caller]
fn expect_marked(browser: &Browser, text: &str, marks: &[&str]) {
    let script = format!(
        "return [...document.querySelectorAll('#log .message')].some(message => \
         message.querySelector('.name').textContent === 'Eve' && message.querySelector('.text').textContent === {} \
         && JSON.stringify([...message.querySelectorAll('.mark')].map(mark => mark.textContent)) === {})",
        json!(text),
        json!(json!(marks).to_string())
    );
    browser.expect(&format!("{text:?} marked {marks:?}"), SOON, &script);
}

/// Waits until the page has told this among what was said. A gap is told 8 s after nobody is left who may fill it.
#[track_caller]
fn expect_notice(browser: &Browser, text: &str) {
    let script = format!(
        "return [...document.querySelectorAll('#log .notice')].some(notice => notice.textContent.startsWith({}))",
        json!(text)
    );
    browser.expect(text, 5 * Duration::from_secs(8), &script);
}

/// Waits until the page says that its node is there, and that exactly these are here.
#[track_caller]
fn expect_connected(browser: &Browser, names: &[&str], timeout: Duration) {
    let state = if names.len() > 1 { "connected" } else { "alone" };
    let script = format!(
        "return document.getElementById('status').dataset.state === '{state}' && document.getElementById('disconnected').hidden \
         && JSON.stringify([...document.querySelectorAll('#peers .name')].map(name => name.textContent).sort()) \
         === {}",
        json!(json!(names).to_string())
    );
    browser.expect(&format!("the node, and {names:?}"), timeout, &script);
}

#[test]
fn two_pages_say_see_lose_the_node_and_get_it_back() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Tokio, "Alice").start();
    let data = tempfile::tempdir().unwrap();
    let launch = Launch::new(Driver::Smol, "Bob").peer(alice.addr());
    let launch = launch.args(["--data-dir", data.path().to_str().unwrap()]);
    let mut bob = launch.start();
    let (at_alice, at_bob) = (browser.window(), browser.new_window());
    browser.switch_to(&at_bob);
    browser.open(&format!("http://{}/", bob.api()));
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    browser.switch_to(&at_alice);
    browser.open(&format!("http://{}/", alice.api()));
    expect_connected(&browser, &["Alice", "Bob"], SOON);

    say(&browser, "hello from the page");
    expect_message(&browser, "Alice", "hello from the page");
    bob.expect_out("Alice: hello from the page", SOON);
    browser.switch_to(&at_bob);
    expect_message(&browser, "Alice", "hello from the page");
    say(&browser, "and back");
    expect_message(&browser, "Bob", "and back");
    browser.switch_to(&at_alice);
    expect_message(&browser, "Bob", "and back");
    assert_eq!(browser.errors(), Vec::<String>::new());

    let text_alone = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> &amp; {{7*7}}";
    say(&browser, text_alone);
    let (mallory, _) = RawPeer::join(alice.addr(), "<i>Mallory</i>");
    mallory.send("MSG|<script>document.title='owned'</script>\n");
    expect_message(&browser, "<i>Mallory</i>", "<script>document.title='owned'</script>");
    expect_marks(&browser, "<i>Mallory</i>", &["unsigned"]);
    expect_marks(&browser, "Bob", &[]);
    drop(mallory);
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    browser.switch_to(&at_bob);
    expect_message(&browser, "Alice", text_alone);
    for window in [&at_alice, &at_bob] {
        browser.switch_to(window);
        let made = browser.run("return document.querySelectorAll('#log :is(img, b, i, script)').length");
        assert_eq!(made, 0);
        assert_ne!(browser.run("return document.title"), "owned");
        let outside = "return performance.getEntriesByType('resource').map(entry => entry.name) \
                       .filter(name => !name.startsWith(location.origin + '/'))";
        assert_eq!(browser.run(outside), json!([]));
    }

    browser.type_into("#message", "written");
    bob.kill();
    let disconnected = "return document.getElementById('status').dataset.state === 'disconnected' \
                && document.getElementById('disconnected').checkVisibility() && document.getElementById('send').disabled";
    browser.expect("the sign that the node is gone", SOON, disconnected);
    browser.switch_to(&at_alice);
    expect_connected(&browser, &["Alice"], SOON);
    browser.switch_to(&at_bob);
    assert_eq!(browser.run("return document.getElementById('message').value"), "written");

    drop(bob);
    let bob = launch.start();
    expect_connected(&browser, &["Alice", "Bob"], 5 * Duration::from_secs(15));
    say(&browser, " while it was away");
    alice.expect_out("Bob: written while it was away", SOON);
    browser.switch_to(&at_alice);
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    expect_message(&browser, "Bob", "written while it was away");
    say(&browser, "welcome back");
    bob.expect_out("Alice: welcome back", SOON);
    browser.switch_to(&at_bob);
    expect_message(&browser, "Alice", "welcome back");
    // The new node knows what the old one said and heard, and the page knows that it has it already.
    let restored = || http::get(bob.api(), "/messages").unwrap().json().as_array().unwrap().len() >= 4;
    eventually("the conversation of before at the new node", SOON, restored);
    expect_conversation(
        &browser,
        &["hello from the page", "and back", text_alone, "written while it was away", "welcome back"],
    );
}

#[test]
fn the_page_tells_what_is_odd() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let bob = Launch::new(Driver::Tokio, "Bob").start();
    browser.open(&format!("http://{}/", bob.api()));
    expect_connected(&browser, &["Bob"], SOON);
    expect_notice(&browser, "You are connected to nobody: no one sees your messages until a peer connects");

    let eve = Signer::join(bob.addr(), "Eve");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    // Three minutes ago by Bob's clock.
    let at = now - 185_000;
    eve.say(0, at, "zero");
    expect_marked(&browser, "zero", &[]);
    expect_notice(&browser, "Your clock is 3 min ahead of the other node's clock: one of the two is wrong");
    let one = eve.sign(1, at + 1, "one");
    eve.say(2, at + 2, "two");
    eve.deny_range();
    expect_notice(&browser, "1 message from Eve is missing");
    expect_marked(&browser, "two", &[]);
    eve.send(&one);
    expect_marked(&browser, "one", &["late"]);
    eve.say(2, at + 3, "another two");
    expect_marked(&browser, "another two", &["forked"]);
    expect_marked(&browser, "two", &["forked"]);
    let in_order = "return JSON.stringify([...document.querySelectorAll('#log .message .text')] \
                    .map(text => text.textContent)) === JSON.stringify(['zero', 'one', 'two', 'another two'])";
    browser.expect("each in its place", SOON, in_order);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

/// Passes on every connection to this address, as `ssh -L` does.
fn forward(listener: TcpListener, to: SocketAddr) {
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(to) else { continue };
            let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
            for (from, to) in ways {
                let (mut from, mut to) = (from.unwrap(), to.unwrap());
                thread::spawn(move || {
                    // Either side may break off.
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn a_page_behind_a_port_forward_takes_the_token_once() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let name = format!("localhost:{}", listener.local_addr().unwrap().port());
    let launch = Launch::new(Driver::Smol, "Alice");
    let alice = launch.args(["--api-token-file", file.to_str().unwrap(), "--api-host", &name]).start();
    forward(listener, alice.api());

    let page = format!("http://{name}/");
    browser.open(&page);
    let refused = "return document.getElementById('status-text').textContent === 'No access' \
                   && document.getElementById('disconnected-text').textContent.includes('#token=TOKEN')";
    browser.expect("that the token is missing", SOON, refused);
    browser.open(&format!("{page}#token={}", "0".repeat(64)));
    browser.expect(
        "a token that is not right to be forgotten",
        SOON,
        "return !sessionStorage.getItem('token')",
    );
    browser.expect("that the token is missing", SOON, refused);

    let token = std::fs::read_to_string(&file).unwrap();
    browser.open(&format!("{page}#token={}", token.trim()));
    expect_connected(&browser, &["Alice"], SOON);
    assert_eq!(browser.run("return location.href"), page);
    say(&browser, "through the forward");
    expect_message(&browser, "Alice", "through the forward");
    browser.open(&page);
    expect_connected(&browser, &["Alice"], SOON);
    expect_message(&browser, "Alice", "through the forward");

    // The user needs none. The refusals of before are in the console.
    assert!(browser.errors().iter().all(|error| error.contains("401") || error.contains("/ws?v=2' failed")));
    browser.open(&format!("http://{}/", alice.api()));
    expect_connected(&browser, &["Alice"], SOON);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

/// Keeps a picture to be looked at, where `CHAT_SCREENSHOTS` names a folder.
fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("CHAT_SCREENSHOTS") {
        browser.screenshot(&std::path::Path::new(&folder).join(format!("{name}.png")));
    }
}

/// What axe-core finds on the page. It is in the file that `CHAT_AXE` names.
fn expect_accessible(browser: &Browser) {
    let Some(path) = std::env::var_os("CHAT_AXE").filter(|path| !path.is_empty()) else {
        let required = std::env::var_os("CHAT_REQUIRE_AXE").is_some_and(|value| !value.is_empty());
        assert!(!required, "CHAT_REQUIRE_AXE is set, and CHAT_AXE names no file");
        let note = "the page was not looked at by axe-core: CHAT_AXE names no file\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return;
    };
    browser.run(&std::fs::read_to_string(path).unwrap());
    let found = browser.run_async(
        "const done = arguments[arguments.length - 1]; axe.run().then(({ violations }) => \
         done(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)), \
         (error) => done([String(error)]))",
    );
    assert_eq!(found, json!([]));
}

const SHIFT: char = '\u{e008}';

#[test]
fn being_alone_is_seen_and_says_what_to_do() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Smol, "Alice").start();
    browser.resize(1100, 760);
    browser.open(&format!("http://{}/", alice.api()));
    expect_connected(&browser, &["Alice"], SOON);
    assert_eq!(browser.text("#status-text"), "Connected to nobody");
    assert!(browser.text("#lonely").contains(&format!("--peer {}", alice.addr())));
    expect_accessible(&browser);
    picture(&browser, "alone");

    let bob = Launch::new(Driver::Tokio, "Bob").start();
    say(&browser, &format!("/connect {}", bob.addr()));
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    assert_eq!(browser.run("return document.getElementById('lonely').checkVisibility()"), false);
    drop(bob);
    expect_connected(&browser, &["Alice"], SOON);
    say(&browser, "anybody?");
    expect_message(&browser, "Alice", "anybody?");
}

#[test]
fn commands_are_carried_out_or_refused_and_never_said() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Tokio, "Alice").start();
    let mut bob = Launch::new(Driver::Smol, "Bob").peer(alice.addr()).start();
    browser.open(&format!("http://{}/", alice.api()));
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    // The focus is in the box from the start, and what is typed elsewhere goes there.
    assert_eq!(browser.run("return document.activeElement.id"), "message");
    say(&browser, "/nick Zoë");
    expect_connected(&browser, &["Bob", "Zoë"], SOON);
    say(&browser, " //nick is a command");
    bob.expect_out("Zoë: /nick is a command", SOON);
    say(&browser, "/me waves");
    bob.expect_out("Zoë: /me waves", SOON);
    browser.expect(
        "what Zoë does",
        SOON,
        "return document.querySelector('.text.action')?.textContent === 'waves'",
    );
    browser.type_into("#message", &format!("/quit now{ENTER}"));
    browser.expect(
        "a refusal",
        SOON,
        "return document.getElementById('problem').textContent.startsWith('There is no command /quit on this page')",
    );
    assert_eq!(browser.run("return document.getElementById('message').value"), "/quit now");
    browser.run("document.getElementById('message').value = ''");
    browser.type_into("#message", &format!("/nick Eve{SHIFT}{ENTER}{SHIFT}and more{ENTER}"));
    browser.expect(
        "that a command has one line",
        SOON,
        "return document.getElementById('problem').textContent.includes('A command has one line')",
    );
    browser.run("document.getElementById('message').value = ''");
    browser.type_into("#message", &format!("/nick \u{a0}{ENTER}"));
    browser.expect(
        "why not",
        SOON,
        "return document.getElementById('problem').textContent.includes('a name must not be empty')",
    );
    browser.run("document.getElementById('message').value = ''");

    bob.say("hidden later");
    expect_message(&browser, "Bob", "hidden later");
    say(&browser, "/mute Bob");
    let shown = |text: &str| {
        format!(
            "return [...document.querySelectorAll('#log .message .text')].some(text => \
             text.textContent === '{text}' && text.checkVisibility())"
        )
    };
    browser.expect("that Bob is muted", SOON, &format!("return !(() => {{ {} }})()", shown("hidden later")));
    bob.say("hidden at once");
    say(&browser, "still here");
    bob.expect_out("Zoë: still here", SOON);
    let heard = || http::get(alice.api(), "/messages").unwrap().body.contains("hidden at once");
    eventually("what Bob said", SOON, heard);
    expect_message(&browser, "Bob", "hidden at once");
    assert_eq!(browser.run(&shown("hidden at once")), false);
    say(&browser, "/unmute Bob");
    browser.expect("what was hidden", SOON, &shown("hidden at once"));
    assert!(bob.out().look(|all| all.iter().all(|line| !line.contains("/mute") && !line.contains("/quit"))));
    assert_eq!(browser.errors().iter().filter(|error| !error.contains("400")).count(), 0);
}

#[test]
fn what_is_written_is_shown_as_it_is_meant() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Smol, "Alice").start();
    let mut bob = Launch::new(Driver::Tokio, "Bob").peer(alice.addr()).start();
    let page = format!("http://{}/", alice.api());
    browser.resize(1100, 760);
    browser.open(&page);
    expect_connected(&browser, &["Alice", "Bob"], SOON);

    browser.type_into("#message", &format!("one{SHIFT}{ENTER}{SHIFT}two{ENTER}"));
    expect_message(&browser, "Alice", "one\ntwo");
    bob.expect_out("Alice: two", SOON);

    bob.say("see https://example.org/a?b=c#d, (http://[::1]:80/) and `let x = 1;` javascript:alert(1)");
    expect_message(
        &browser,
        "Bob",
        "see https://example.org/a?b=c#d, (http://[::1]:80/) and let x = 1; javascript:alert(1)",
    );
    let links = "return JSON.stringify([...document.querySelectorAll('.text a')].map(link => [link.href, link.rel, link.target]))";
    let rel = "noopener noreferrer nofollow ugc";
    let expected = json!([["https://example.org/a?b=c#d", rel, "_blank"], ["http://[::1]/", rel, "_blank"]]);
    assert_eq!(browser.run(links), json!(expected.to_string()));
    assert_eq!(browser.run("return document.querySelector('.text code').textContent"), "let x = 1;");
    bob.say("are you there, alice?");
    expect_message(&browser, "Bob", "are you there, alice?");
    bob.say("no, alicea");
    expect_message(&browser, "Bob", "no, alicea");
    assert_eq!(
        browser.run(
            "return [...document.querySelectorAll('.mention .text')].map(text => text.textContent).join()"
        ),
        "are you there, alice?"
    );
    expect_accessible(&browser);
    picture(&browser, "conversation");

    // Marks that are piled up stay in the message that has them.
    bob.say(&format!("z{}", "\u{30b}".repeat(60)));
    let clipped = "const last = [...document.querySelectorAll('.message')].at(-1); \
                   return last.textContent.includes('\\u030b') && getComputedStyle(last).overflow === 'clip'";
    browser.expect("a message that is clipped", SOON, clipped);

    // A long name is cut in the list, and people who stand together have different colours.
    let (long, _) = RawPeer::join(alice.addr(), &"wide".repeat(16));
    expect_connected(&browser, &["Alice", "Bob", &"wide".repeat(16)], SOON);
    let cut = "const name = document.querySelector('#peers li:last-child .name'); \
               return name.scrollWidth > name.clientWidth && name.clientHeight < 30 \
               && document.getElementById('people').scrollWidth <= document.getElementById('people').clientWidth";
    browser.expect("the name to be cut", SOON, cut);
    let apart = "const hues = [...document.querySelectorAll('#peers .avatar')] \
                 .map(avatar => Number(avatar.style.getPropertyValue('--hue'))); \
                 const distance = (one, other) => Math.min(Math.abs(one - other), 360 - Math.abs(one - other)); \
                 return hues.length === 3 && hues.every((one, index) => \
                 hues.slice(index + 1).every(other => distance(one, other) >= 35))";
    assert_eq!(browser.run(apart), true);
    picture(&browser, "list");
    drop(long);
    expect_connected(&browser, &["Alice", "Bob"], SOON);

    browser.type_into("#message", "a draft");
    browser.open(&page);
    expect_connected(&browser, &["Alice", "Bob"], SOON);
    assert_eq!(browser.run("return document.getElementById('message').value"), "a draft");

    // A reader who has scrolled up learns how many messages are below.
    (0..40).for_each(|number| alice.send(&format!("filler {number}")));
    expect_message(&browser, "Alice", "filler 39");
    browser.run("document.getElementById('log').scrollTop = 0");
    browser.expect("that it is above", SOON, "return document.getElementById('log').scrollTop === 0");
    for (text, told) in [("news", "1 newer message"), ("more news", "2 newer messages")] {
        bob.say(text);
        let button = "document.getElementById('to-end')";
        let script = format!("return {button}.checkVisibility() && {button}.textContent === '{told}'");
        browser.expect(told, SOON, &script);
    }
    browser.click("#to-end");
    browser.expect("the end", SOON, "return !document.getElementById('to-end').checkVisibility()");

    // A phone in landscape has room for messages.
    browser.resize(844, 390);
    browser.expect("a small window", SOON, "return innerHeight < 480");
    let share =
        browser.run("return document.getElementById('log').clientHeight / innerHeight").as_f64().unwrap();
    assert!(share > 0.5, "{share}");
    picture(&browser, "landscape");

    browser.resize(1100, 760);
    drop(alice);
    browser.expect(
        "that the node is gone, where one types",
        SOON,
        "return document.getElementById('message').placeholder.startsWith('The node is gone')",
    );
    expect_accessible(&browser);
    picture(&browser, "gone");
}
