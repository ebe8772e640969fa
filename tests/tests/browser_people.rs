//! Who is here, who is muted and who calls, as the page shows it in a headless Chromium.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tests::http;
use tests::journal::{SOON, eventually};
use tests::process::{Driver, Launch, Process};
use tests::signer::Signer;
use tests::webdriver::Browser;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn secret(n: u32) -> [u8; 32] {
    let mut secret = [7; 32];
    secret[..4].copy_from_slice(&n.to_be_bytes());
    secret
}

/// Opens a node's page.
#[track_caller]
fn open(browser: &Browser, node: &Process) {
    browser.open(&format!("http://{}/", node.api()));
    browser.expect(
        "the node",
        SOON,
        "return ['connected', 'alone'].includes(document.getElementById('status').dataset.state)",
    );
}

/// Types into the box and sends it.
#[track_caller]
fn enter(browser: &Browser, text: &str) {
    browser.type_into("#message", &format!("{text}\u{e007}"));
    browser.expect("an empty box", SOON, "return document.getElementById('message').value === ''");
}

/// Waits for these names in a list of people, in this order.
#[track_caller]
fn expect_names(browser: &Browser, list: &str, names: &[&str]) {
    let script = format!(
        "return JSON.stringify([...document.querySelectorAll('{list} .name')].map(name => name.textContent)) === {}",
        json!(json!(names).to_string())
    );
    browser.expect(&format!("{names:?} in {list}"), SOON, &script);
}

/// Keeps a picture to be looked at, where `CHAT_SCREENSHOTS` names a folder.
fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("CHAT_SCREENSHOTS") {
        browser.screenshot(&std::path::Path::new(&folder).join(format!("{name}.png")));
    }
}

/// How many notices end so, apart from their times.
fn notices(browser: &Browser, end: &str) -> u64 {
    let script = format!(
        "return [...document.querySelectorAll('#log .notice')].filter(notice => \
         [...notice.childNodes].filter(part => part.nodeName !== 'TIME').map(part => part.textContent).join('') \
         .trim().endsWith({})).length",
        json!(end)
    );
    browser.run(&script).as_u64().unwrap()
}

#[test]
fn members_far_away_come_and_go_and_a_crowd_of_them_is_counted_and_not_drawn() {
    const CROWD: u32 = 1_000;
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Tokio, "Alice").start();
    browser.resize(1100, 760);
    open(&browser, &alice);
    let eve = Signer::join(alice.addr(), "Eve");
    expect_names(&browser, "#peers", &["Alice", "Eve"]);
    eve.tell_member(secret(0), "Zoe", now(), Some(30));
    expect_names(&browser, "#peers", &["Alice", "Eve", "Zoe"]);
    eventually("that Zoe came", SOON, || notices(&browser, "joined") == 2);
    eve.tell_member(secret(0), "Zoe", now() + 10, None);
    expect_names(&browser, "#away", &["Zoe"]);
    eventually("that Zoe left", SOON, || notices(&browser, "left") == 1);

    let began = now();
    for n in 1..=CROWD {
        eve.tell_member(secret(n), &format!("{n} {}", "w".repeat(50)), began + u64::from(n), Some(86_400));
    }
    browser.expect(
        "how many are here",
        3 * SOON,
        &format!("return document.getElementById('people-title').textContent === 'Online ({})'", CROWD + 2),
    );
    // This node, and the linked one first; of the others those who were heard last.
    let drawn = "const names = [...document.querySelectorAll('#peers .name')].map(name => name.textContent); \
                 return names.length === 151 && names[0] === 'Alice' && names[1] === 'Eve'";
    browser.expect("a part of them", SOON, drawn);
    assert_eq!(browser.text("#more"), "and 851 more");
    assert_eq!(browser.run("return document.getElementById('more-away').checkVisibility()"), false);
    let told = notices(&browser, "joined");
    let most = 2 + 20 + (now() - began) / 3_000 + 1;
    assert!((10..=most).contains(&told), "{told} arrivals were told, {most} at most");
    picture(&browser, "crowd");
    // On a phone, everything in the bar at the top is there.
    browser.resize(360, 700);
    let fits = "const end = document.querySelector('header').getBoundingClientRect().right; \
                return [...document.querySelectorAll('header > *')].filter(part => part.checkVisibility()) \
                .every(part => part.getBoundingClientRect().right <= end) && document.documentElement.scrollWidth <= innerWidth";
    browser.expect("everything to fit", SOON, fits);
    picture(&browser, "phone");
    browser.resize(1100, 760);
    // It has not become slow.
    enter(&browser, &format!("/mute {CROWD} {}", "w".repeat(50)));
    eventually("who is muted", SOON, || {
        http::get(alice.api(), "/mutes").unwrap().json().as_array().unwrap().len() == 1
    });
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn who_is_muted_is_the_nodes_list_for_all_pages() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let data = tempfile::tempdir().unwrap();
    let launch = Launch::new(Driver::Smol, "Alice").args(["--data-dir", data.path().to_str().unwrap()]);
    let mut alice = launch.start();
    let mut bob = Launch::new(Driver::Tokio, "Bob").peer(alice.addr()).start();
    bob.expect_peers(&["Alice"], SOON);
    let muted = |node: &Process| http::get(node.api(), "/mutes").unwrap().json();
    let (one, other) = (browser.window(), browser.new_window());
    let expect_hidden = |text: &str, hidden: bool| {
        let script = format!(
            "return [...document.querySelectorAll('#log .message')].some(message => \
             message.querySelector('.text').textContent === {} && message.hidden === {hidden})",
            json!(text)
        );
        browser.expect(&format!("{text} hidden: {hidden}"), SOON, &script);
    };
    for window in [&one, &other] {
        browser.switch_to(window);
        open(&browser, &alice);
        expect_names(&browser, "#peers", &["Alice", "Bob"]);
    }
    bob.say("before");
    expect_hidden("before", false);
    browser.switch_to(&one);
    enter(&browser, &format!("/mute {}", bob.node_id()));
    expect_hidden("before", true);
    assert_eq!(muted(&alice), json!([{ "id": bob.node_id(), "name": "Bob" }]));
    browser.switch_to(&other);
    expect_hidden("before", true);
    bob.say("meanwhile");
    expect_hidden("meanwhile", true);
    // A page that comes later knows it, too, and so does the node when it starts again.
    open(&browser, &alice);
    expect_hidden("before", true);
    alice.kill();
    alice = launch.start();
    open(&browser, &alice);
    // Names are stored now and then: after a crash, the start of the id may stand for one.
    eventually("the list of before", SOON, || muted(&alice)[0]["id"] == bob.node_id());
    // The button undoes it on all pages.
    bob.expect_peers(&["Alice"], SOON);
    expect_names(&browser, "#peers", &["Alice", "Bob"]);
    browser.run("document.querySelector('.peer.muted button').click()");
    eventually("an empty list", SOON, || muted(&alice) == json!([]));
    expect_hidden("before", false);

    // A list that this browser kept by itself goes to the node, once.
    let far = "01234567-89ab-8def-8123-456789abcdef";
    let list = json!([[bob.node_id(), "Bob"], ["no id", "Nobody"], [far, "Far"]]).to_string();
    browser.run(&format!("localStorage.setItem('muted', {})", json!(list)));
    open(&browser, &alice);
    eventually("the list of before", SOON, || muted(&alice).as_array().unwrap().len() == 2);
    browser.expect("that it is forgotten", SOON, "return localStorage.getItem('muted') === null");
    expect_hidden("meanwhile", true);
}

/// Whatever the page tells on the desktop is told, and noted.
const NOTE_NOTIFICATIONS: &str = "window.told = []; window.Notification = class extends Notification { \
    constructor(title, options) { super(title, options); window.told.push([title, options.body]); } };";

#[test]
fn who_names_the_user_is_told_on_the_desktop_if_that_is_allowed_and_the_page_is_hidden() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let alice = Launch::new(Driver::Smol, "Alice").start();
    let mut bob = Launch::new(Driver::Tokio, "Bob").peer(alice.addr()).start();
    bob.expect_peers(&["Alice"], SOON);
    let id = bob.node_id();
    browser.run_first(NOTE_NOTIFICATIONS);
    open(&browser, &alice);
    let shown = "return document.getElementById('notify').checkVisibility()";
    assert_eq!(browser.run(shown), true, "the user has not been asked");
    let told = |count: usize| {
        let script = format!("return window.told.length === {count}");
        browser.expect(&format!("{count} notifications"), SOON, &script);
        browser.run("return window.told")
    };
    // What the page is told of before anything that is asked of the node later.
    let mut heard = |text: &str| {
        bob.say(text);
        let has = || http::get(alice.api(), "/messages").unwrap().body.contains(text);
        eventually("that Alice's node heard it", SOON, has);
    };
    let counted = |unseen: u32| {
        let script = format!("return document.title.startsWith('({unseen}) ')");
        browser.expect(&format!("{unseen} in the title"), SOON, &script);
    };

    browser.permit("notifications", "granted");
    open(&browser, &alice);
    assert_eq!(browser.run(shown), false, "there is nothing to ask");
    heard("alice, you are looking");
    let shown =
        "return document.querySelector('.message.mention .text')?.textContent === 'alice, you are looking'";
    browser.expect("it on the page", SOON, shown);
    assert_eq!(told(0), json!([]), "who looks sees it");

    browser.minimize();
    browser.expect("that it is hidden", SOON, "return document.hidden");
    heard("nothing for her");
    heard("are you there, Alice?");
    assert_eq!(told(1), json!([["Bob", "are you there, Alice?"]]));
    counted(2);

    let muted = http::post(alice.api(), "/mute", &json!({ "id": id })).unwrap();
    assert_eq!(muted.status, 200);
    heard("Alice! I am muted");
    let unmuted = http::post(alice.api(), "/unmute", &json!({ "id": id })).unwrap();
    assert_eq!(unmuted.status, 200);
    browser.permit("notifications", "denied");
    heard("Alice? forbidden");
    counted(3);
    browser.permit("notifications", "granted");
    heard("ALICE: heard again");
    counted(4);
    assert_eq!(told(2), json!([["Bob", "are you there, Alice?"], ["Bob", "ALICE: heard again"]]));
}
