//! A WebDriver client on plain sockets, and the browser that it drives (W3C WebDriver, sections 8 to 13).

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::journal::{SOON, eventually};
use crate::process::read_lines;

/// How a response names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A headless Chromium and the driver that it is spoken to through. Both end when this is dropped.
pub struct Browser {
    driver: Child,
    addr: SocketAddr,
    session: String,
    _home: TempDir,
}

impl Browser {
    /// Starts them, one browser at a time; none where they are not installed, unless one is required.
    ///
    /// # Panics
    /// When `CHAT_REQUIRE_BROWSER` is set and they are missing, and when they are installed and do not start.
    pub fn in_turn() -> Option<(Self, MutexGuard<'static, ()>)> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let browser = Self::start();
        let required = std::env::var_os("CHAT_REQUIRE_BROWSER").is_some_and(|value| !value.is_empty());
        assert!(
            browser.is_some() || !required,
            "CHAT_REQUIRE_BROWSER is set, and chromedriver or Chromium is missing"
        );
        if browser.is_none() {
            // Past the test harness, which keeps what a passed test prints to itself.
            let note = "the browser test did not run: chromedriver or Chromium is missing\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        }
        browser.map(|browser| (browser, turn))
    }

    /// Starts them; none where they are not installed.
    ///
    /// # Panics
    /// When they are installed and do not start.
    pub fn start() -> Option<Self> {
        let home = TempDir::new().expect("a home folder");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", home.path()).env("TMPDIR", home.path());
        // Chromium outlives its driver: the whole group is ended in the end.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut driver = match command.spawn() {
            Ok(driver) => driver,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("chromedriver does not start: {error}"),
        };
        let lines = read_lines(driver.stdout.take().expect("a pipe"));
        let mut browser =
            Self { driver, addr: (Ipv4Addr::LOCALHOST, 0).into(), session: String::new(), _home: home };
        let port = lines.expect("chromedriver's port", 3 * SOON, |lines| {
            lines.iter().find_map(|line| {
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
        });
        browser.addr.set_port(port);
        browser.session = browser.open_session()?;
        Some(browser)
    }

    fn open_session(&self) -> Option<String> {
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=390,844",
        ];
        let options = json!({
            "browserName": "chrome", "goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"},
        });
        let body = json!({"capabilities": {"alwaysMatch": options}});
        let response = http::post(self.addr, "/session", &body).expect("chromedriver's answer");
        if response.body.contains("cannot find Chrome binary") {
            return None;
        }
        let value = response.json();
        let session = value["value"]["sessionId"].as_str();
        Some(session.unwrap_or_else(|| panic!("no session: {value}")).to_owned())
    }

    /// The window that is there at the start.
    pub fn window(&self) -> String {
        self.ask("GET", "/window", &Value::Null).as_str().expect("a window").to_owned()
    }

    /// Another window.
    pub fn new_window(&self) -> String {
        let window = self.ask("POST", "/window/new", &json!({"type": "window"}));
        window["handle"].as_str().expect("a window").to_owned()
    }

    /// What follows is about this window.
    pub fn switch_to(&self, window: &str) {
        self.ask("POST", "/window", &json!({"handle": window}));
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({"url": url}));
    }

    /// Runs a function's body in the page and gives what it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a function's body in the page, whose last argument is called with what it gives.
    #[track_caller]
    pub fn run_async(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({"script": script, "args": []}))
    }

    /// The user allows pages to do this, or forbids it ("granted", "denied").
    pub fn permit(&self, what: &str, state: &str) {
        self.ask("POST", "/permissions", &json!({"descriptor": {"name": what}, "state": state}));
    }

    /// Runs this in every page that is opened in this window from now on, before its own scripts.
    pub fn run_first(&self, script: &str) {
        let params = json!({"source": script});
        let body = json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": params});
        self.ask("POST", "/goog/cdp/execute", &body);
    }

    /// Hides the window, until it is given a size.
    pub fn minimize(&self) {
        self.ask("POST", "/window/minimize", &json!({}));
    }

    /// Gives the window another size, in pixels.
    pub fn resize(&self, width: u32, height: u32) {
        self.ask("POST", "/window/rect", &json!({"width": width, "height": height}));
    }

    /// Writes a picture of the window into this file, as PNG.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn screenshot(&self, path: &std::path::Path) {
        use base64::Engine as _;
        let picture = self.ask("GET", "/screenshot", &Value::Null);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("a picture"));
        std::fs::write(path, picture.expect("Base64")).expect("a file");
    }

    /// Types into the element that a CSS selector finds.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({"text": text}));
    }

    /// Clicks on the element that a CSS selector finds.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// What can be read in the element that a CSS selector finds.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null).as_str().expect("text").to_owned()
    }

    /// The errors in the console of this window since the last call.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a list").iter();
        let errors = entries.filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub fn expect(&self, what: &str, timeout: Duration, script: &str) {
        eventually(what, timeout, || self.run(script) == true);
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let element = self.ask("POST", "/element", &json!({"using": "css selector", "value": selector}));
        element[ELEMENT].as_str().expect("an element").to_owned()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/session/{}{path}", self.session);
        let response = http::request(self.addr, method, &path, &body).expect("chromedriver's answer");
        assert_eq!(response.status, 200, "{method} {path} {body}: {}", response.body);
        response.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = http::request(self.addr, "DELETE", &format!("/session/{}", self.session), "");
        }
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}
