//! Who is there, who is named and who is muted.

use super::*;

#[test]
fn who_came_and_went_is_told_and_two_of_one_name_apart() {
    for driver in Driver::ALL {
        let (bob, mut alice) = bob_and_alice(driver);
        let mut other = visitor(driver, "Alice", bob.addr());
        let other_id = short(&other.node_id());
        bob.expect_line(&format!("* Alice ({other_id}) joined"));
        alice.say("it is me");
        bob.expect_line(&said_by(&alice, "it is me"));
        other.say("no, me");
        bob.expect_line(&format!("Alice ({other_id}, name taken): no, me"));
        other.signal(Signal::TERM);
        bob.expect_line(&format!("* Alice ({other_id}) left (it left)"));
        alice.say("alone at last");
        bob.expect_line(&said_by(&alice, "alone at last"));
    }
}

#[test]
fn who_is_named_sees_and_hears_it() {
    for driver in Driver::ALL {
        let (bob, mut alice) = bob_and_alice(driver);
        alice.say("bobby");
        bob.expect_line(&said_by(&alice, "bobby"));
        alice.say("are you there, bob?");
        bob.expect_line(&said_by(&alice, "are you there, bob?"));
        let sent = bob.sent();
        assert!(sent.contains("are you there, \x1b[1;7mbob\x1b[0m?\x07"), "{sent:?}");
        assert_eq!(sent.matches('\x07').count(), 1, "{sent:?}");
    }
}

#[test]
fn what_somebody_does_is_told_apart_from_what_they_say() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        bob.keys("/me waves\r");
        alice.expect_out("Bob: /me waves", SOON);
        alice.say("/me smiles");
        bob.expect_line(&format!("Alice ({}) *smiles*", short(&alice.node_id())));
    }
}

#[test]
fn who_is_muted_is_not_shown_until_that_is_undone() {
    for driver in Driver::ALL {
        let (mut bob, mut alice) = bob_and_alice(driver);
        let mut carol = visitor(driver, "Carol", bob.addr());
        bob.expect_line("* Carol joined");
        let id = short(&alice.node_id());
        bob.keys("/mute Alice\r");
        bob.expect_line(&format!("* Alice ({id}) is muted; /unmute Alice undoes it"));
        alice.say("hidden");
        carol.expect_out("Alice: hidden", SOON);
        carol.say("seen");
        bob.expect_line(&said_by(&carol, "seen"));
        bob.keys("/mute\r");
        bob.expect_line(&format!("*   {id}  Alice"));
        bob.keys(&format!("/unmute {id}\r"));
        bob.expect_line(&format!("* Alice ({id}) is no longer muted"));
        alice.say("back");
        bob.expect_line(&said_by(&alice, "back"));
        assert!(!bob.sent().contains("hidden"));
        bob.keys("/mute Zoe\r");
        bob.expect_line("* /mute: nobody is called Zoe here");
    }
}

#[test]
fn who_is_muted_stays_so_over_a_restart() {
    for driver in Driver::ALL {
        let data = tempfile::TempDir::new().unwrap();
        let alice = Launch::new(driver, "Alice").start();
        let id = short(&alice.node_id());
        let start = || {
            let bob = OnTerminal::new(driver, "Bob").peer(alice.addr());
            let bob = bob.args(["--data-dir", data.path().to_str().unwrap()]).start();
            bob.expect_line("* Alice joined");
            bob.expect_prompt("");
            bob
        };
        let mut bob = start();
        bob.keys("/mute Alice\r");
        bob.expect_line(&format!("* Alice ({id}) is muted; /unmute Alice undoes it"));
        bob.keys("/quit\r");
        assert!(bob.expect_end().success());
        let mut bob = start();
        bob.keys("/mute\r");
        bob.expect("who is muted", |screen| {
            screen.lines.iter().any(|line| line.starts_with(&format!("*   {id}"))).then_some(())
        });
        bob.keys(&format!("/unmute {id}\r"));
        bob.expect("the end of that", |screen| {
            screen.lines.iter().any(|line| line.ends_with("is no longer muted")).then_some(())
        });
        alice.send("back");
        bob.expect_line(&said_by(&alice, "back"));
    }
}

#[test]
fn whom_the_page_mutes_the_terminal_mutes_and_the_other_way_round() {
    for driver in Driver::ALL {
        let mut bob = OnTerminal::new(driver, "Bob").with_api().start();
        let api = bob.expect("where its API is", |screen| {
            let (_, url) = screen.lines.iter().find_map(|line| line.split_once("http://"))?;
            url.parse().ok()
        });
        let mut alice = visitor(driver, "Alice", bob.addr());
        bob.expect_line("* Alice joined");
        let (id, at) = (alice.node_id(), short(&alice.node_id()));
        let muted = || tests::http::get(api, "/mutes").unwrap().json();
        let post = |path| tests::http::post(api, path, &serde_json::json!({ "id": id })).unwrap().status;

        assert_eq!(post("/mute"), 200);
        bob.expect_line("* Alice is muted, as somebody said on the page or by the API");
        assert_eq!(muted(), serde_json::json!([{ "id": id, "name": "Alice" }]));
        alice.say("not heard");
        tests::journal::eventually("Bob's node has it", SOON, || {
            tests::http::get(api, "/messages").unwrap().body.contains("not heard")
        });
        // What comes after it is shown after it.
        tests::http::post(api, "/send", &serde_json::json!({ "msg": "and then" })).unwrap();
        bob.expect("what came then", |screen| {
            screen.lines.iter().any(|line| line.ends_with("and then")).then_some(())
        });
        bob.keys("/unmute Alice\r");
        bob.expect_line(&format!("* Alice ({at}) is no longer muted"));
        alice.say("heard");
        bob.expect_line(&said_by(&alice, "heard"));
        assert_eq!((muted(), post("/unmute")), (serde_json::json!([]), 409));
        bob.keys(&format!("/mute {at}\r"));
        bob.expect_line(&format!("* Alice ({at}) is muted; /unmute Alice undoes it"));
        assert_eq!(muted(), serde_json::json!([{ "id": id, "name": "Alice" }]));
        assert!(bob.shown().lines.iter().all(|line| !line.ends_with("not heard")));
    }
}

#[test]
fn tab_completes_commands_and_names() {
    for driver in Driver::ALL {
        let (mut bob, alice) = bob_and_alice(driver);
        let alicia = visitor(driver, "Alicia", bob.addr());
        bob.expect_line("* Alicia joined");
        bob.keys("/st\t");
        bob.expect_prompt("/status");
        bob.keys("\x03al\t");
        bob.expect_prompt("alic");
        bob.keys("\t");
        bob.expect_line("* Alice  Alicia");
        bob.keys("e\t");
        bob.expect_prompt("alice: ");
        bob.keys("hello Alici\t\r");
        alice.expect_out("Bob: alice: hello Alicia ", SOON);
        drop(alicia);
    }
}
