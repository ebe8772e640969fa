//! The page in a headless Chromium goes back through what the node keeps.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::http;
use tests::journal::SOON;
use tests::process::{Driver, Launch};
use tests::webdriver::Browser;

/// Long enough for a page on a busy machine.
const PATIENCE: Duration = SOON;

#[test]
fn scrolling_up_shows_what_was_said_before_the_node_was_restarted() {
    let Some((browser, _turn)) = Browser::in_turn() else { return };
    let data = TempDir::new().unwrap();
    let launch = Launch::new(Driver::Tokio, "Alice").args(["--data-dir", data.path().to_str().unwrap()]);
    let mut alice = launch.start();
    for n in 0..450 {
        let sent = http::post(alice.api(), "/send", &json!({ "msg": format!("line {n}") })).unwrap();
        assert_eq!(sent.status, 200);
    }
    alice.kill();
    let alice = launch.start();
    browser.open(&format!("http://{}/", alice.api()));
    let texts = "[...document.querySelectorAll('#log .message .text')].map(text => text.textContent)";
    browser.expect("the newest 200", PATIENCE, &format!("return {texts}.length === 200"));
    browser.expect("the end", PATIENCE, &format!("return {texts}.at(-1) === 'line 449'"));
    // Each look scrolls as far up as it goes.
    let all = format!(
        "document.getElementById('log').scrollTop = 0; const texts = {texts}; \
         return texts.length === 450 && texts.every((text, n) => text === `line ${{n}}`)"
    );
    browser.expect("everything, in order", 3 * PATIENCE, &all);
    browser.expect(
        "nothing is new",
        PATIENCE,
        "return document.getElementById('to-end').hidden && !document.title.startsWith('(')",
    );
    assert_eq!(browser.errors(), [""; 0]);
}
