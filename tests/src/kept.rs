//! Judges what nodes kept. It knows what each node acknowledged and what it has at the end, and nothing of how nodes work.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use crate::http;

/// What was said to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// The node.
    pub node: usize,
    /// Who said it. One speaker waits for each answer.
    pub speaker: usize,
    /// No two are the same.
    pub text: String,
    /// What the node answered.
    pub answer: Answer,
}

/// The answer of a node to what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is kept, in the entry with this id.
    Kept(String),
    /// It is on its way, and not kept.
    Unkept,
    /// None came: it may be said, or not.
    None,
}

/// A line that a node has at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The id of the entry.
    pub id: String,
    /// The key of its author.
    pub key: String,
    /// The epoch.
    pub epoch: u64,
    /// The sequence number.
    pub seq: u64,
    /// Which line of the entry.
    pub part: u64,
    /// The node itself said it.
    pub own: bool,
    /// The text.
    pub text: String,
}

/// What must not happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A node acknowledged this, and does not have it.
    Lost(String),
    /// Another node does not have it.
    Missing(usize, String),
    /// A node has this twice.
    Doubled(usize, String),
    /// Two entries have one key, epoch and number.
    Reused(u64, u64),
    /// Numbers of a node's own epoch are missing below others.
    Gap(usize, u64, u64),
    /// A node has what a speaker said later before what the speaker said earlier.
    Order(String),
    /// Nobody said this.
    Invented(String),
    /// A node began another epoch without need.
    Epochs(usize, usize),
}

/// What is wrong. `held` is what each node has, in the order of the conversation.
pub fn judge(spoken: &[Spoken], held: &[Vec<Line>]) -> BTreeSet<Fault> {
    let mut faults = BTreeSet::new();
    let all: BTreeSet<&str> = spoken.iter().map(|spoken| spoken.text.as_str()).collect();
    let mut places = BTreeMap::<(&str, u64, u64), &str>::new();
    for (node, lines) in held.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for line in lines {
            if !seen.insert(line.text.as_str()) {
                faults.insert(Fault::Doubled(node, line.text.clone()));
            }
            if !all.contains(line.text.as_str()) {
                faults.insert(Fault::Invented(line.text.clone()));
            }
            let place = (line.key.as_str(), line.epoch, line.seq);
            if *places.entry(place).or_insert(&line.id) != line.id {
                faults.insert(Fault::Reused(line.epoch, line.seq));
            }
        }
        for spoken in spoken.iter().filter(|spoken| spoken.answer != Answer::None) {
            if !seen.contains(spoken.text.as_str()) && spoken.node != node {
                faults.insert(Fault::Missing(node, spoken.text.clone()));
            }
        }
        judge_own(node, lines, &mut faults);
        judge_speakers(node, spoken, lines, &mut faults);
    }
    faults
}

/// The numbers of a node's own epochs.
fn judge_own(node: usize, lines: &[Line], faults: &mut BTreeSet<Fault>) {
    let mut epochs = BTreeMap::<u64, BTreeSet<u64>>::new();
    for line in lines.iter().filter(|line| line.own) {
        epochs.entry(line.epoch).or_default().insert(line.seq);
    }
    for (epoch, numbers) in &epochs {
        let missing = (0..).zip(numbers).find(|(expected, found)| expected != *found);
        if let Some((expected, _)) = missing {
            faults.insert(Fault::Gap(node, *epoch, expected));
        }
    }
    if epochs.len() > 1 {
        faults.insert(Fault::Epochs(node, epochs.len()));
    }
}

/// What was acknowledged is there, under its id, in the order in which it was said.
fn judge_speakers(node: usize, spoken: &[Spoken], lines: &[Line], faults: &mut BTreeSet<Fault>) {
    let places: BTreeMap<&str, (usize, &str)> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| (line.text.as_str(), (place, line.id.as_str())))
        .collect();
    let mut last = BTreeMap::<usize, usize>::new();
    for spoken in spoken.iter().filter(|spoken| spoken.node == node) {
        let found = places.get(spoken.text.as_str());
        if let Answer::Kept(id) = &spoken.answer
            && found.is_none_or(|(_, found)| found != id)
        {
            faults.insert(Fault::Lost(spoken.text.clone()));
        }
        let Some((place, _)) = found else { continue };
        if last.insert(spoken.speaker, *place).is_some_and(|before| before > *place) {
            faults.insert(Fault::Order(spoken.text.clone()));
        }
    }
}

/// Says something to the node with this API.
///
/// # Errors
/// When it cannot be reached, so that it heard nothing.
pub fn say(api: SocketAddr, text: &str) -> io::Result<Option<Answer>> {
    let body = serde_json::json!({ "msg": text }).to_string();
    let answered = http::request_with(api, "POST", "/send", "Accept: application/json\r\n", &body);
    let response = match answered {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
        Err(_) => return Ok(Some(Answer::None)),
        Ok(response) if response.status == 503 => return Ok(None),
        Ok(response) => response,
    };
    assert_eq!(response.status, 200, "{response:?}");
    let Ok(answer) = serde_json::from_str::<Value>(&response.body) else { return Ok(Some(Answer::None)) };
    let id = answer["ids"][0].as_str().unwrap_or_default().to_owned();
    Ok(Some(if answer["stored"] == true { Answer::Kept(id) } else { Answer::Unkept }))
}

/// All lines that the node with this API has, in the order of the conversation.
///
/// # Panics
/// When it does not answer as documented.
#[track_caller]
pub fn read_all(api: SocketAddr) -> Vec<Line> {
    let mut pages = Vec::new();
    let mut path = "/messages?limit=1000".to_owned();
    loop {
        let response = http::get(api, &path).expect("an answer");
        assert_eq!(response.status, 200, "{response:?}");
        let Value::Array(page) = response.json() else { panic!("{response:?}") };
        let page: Vec<Line> = page.iter().map(line).collect();
        let Some(first) = page.first() else { break };
        path = format!("/messages?limit=1000&before={}.{}", first.id, first.part);
        pages.push(page);
    }
    pages.into_iter().rev().flatten().collect()
}

#[track_caller]
fn line(message: &Value) -> Line {
    let entry = &message["entry"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let number = |value: &Value| value.as_u64().expect("a number");
    Line {
        id: text(&entry["id"]),
        key: text(&entry["key"]),
        epoch: number(&entry["epoch"]),
        seq: number(&entry["seq"]),
        part: number(&entry["part"]),
        own: message["own"] == true,
        text: text(&message["content"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(speaker: usize, text: &str) -> Spoken {
        Spoken { node: 0, speaker, text: text.to_owned(), answer: Answer::Kept(format!("id of {text}")) }
    }

    fn held(seq: u64, text: &str) -> Line {
        let (id, key, text) = (format!("id of {text}"), "Alice".to_owned(), text.to_owned());
        Line { id, key, epoch: 7, seq, part: 0, own: true, text }
    }

    fn at_another(lines: &[Line]) -> Vec<Line> {
        lines.iter().map(|line| Line { own: false, ..line.clone() }).collect()
    }

    fn faults(spoken: &[Spoken], lines: &[Line]) -> Vec<Fault> {
        judge(spoken, &[lines.to_vec(), at_another(lines)]).into_iter().collect()
    }

    #[test]
    fn a_network_that_keeps_its_word_is_found_good() {
        let spoken = [said(0, "a"), said(1, "b"), said(0, "c")];
        let lines = [held(0, "a"), held(1, "b"), held(2, "c")];
        assert_eq!(faults(&spoken, &lines), []);
        // What was not answered may be there or not.
        let mut unanswered = spoken.clone();
        unanswered[2].answer = Answer::None;
        assert_eq!(faults(&unanswered, &lines), []);
        assert_eq!(faults(&unanswered, &lines[..2]), []);
    }

    #[test]
    fn an_answer_before_the_commit_is_found() {
        let spoken = [said(0, "a"), said(0, "b")];
        let found = faults(&spoken, &[held(0, "a")]);
        assert_eq!(found, [Fault::Lost("b".to_owned()), Fault::Missing(1, "b".to_owned())]);
    }

    #[test]
    fn a_dropped_batch_is_found() {
        let spoken = [said(0, "a"), said(0, "b"), said(0, "c")];
        let found = faults(&spoken, &[held(0, "a"), held(2, "c")]);
        assert!(found.contains(&Fault::Lost("b".to_owned())) && found.contains(&Fault::Gap(0, 7, 1)));
    }

    #[test]
    fn a_number_that_is_used_again_is_found() {
        let spoken = [said(0, "a"), said(0, "b")];
        assert_eq!(faults(&spoken, &[held(0, "a"), held(0, "b")]), [Fault::Reused(7, 0)]);
        // Also where each node has one of the two.
        let other = Line { own: false, ..held(0, "b") };
        let found = judge(&spoken, &[vec![held(0, "a")], vec![other]]);
        assert!(found.contains(&Fault::Reused(7, 0)), "{found:?}");
    }

    #[test]
    fn what_is_twice_out_of_order_or_said_by_nobody_is_found() {
        let spoken = [said(0, "a"), said(0, "b")];
        let mut again = held(2, "a");
        again.id = "another".to_owned();
        let found = faults(&spoken, &[held(0, "a"), held(1, "b"), again]);
        assert!(found.contains(&Fault::Doubled(0, "a".to_owned())), "{found:?}");
        let found = faults(&spoken, &[held(0, "b"), held(1, "a")]);
        assert_eq!(found, [Fault::Order("b".to_owned())]);
        let found = faults(&spoken, &[held(0, "a"), held(1, "b"), held(2, "c")]);
        assert_eq!(found, [Fault::Invented("c".to_owned())]);
    }

    #[test]
    fn an_epoch_that_was_given_up_is_found() {
        let spoken = [said(0, "a"), said(0, "b")];
        let other = Line { epoch: 8, ..held(0, "b") };
        assert_eq!(faults(&spoken, &[held(0, "a"), other]), [Fault::Epochs(0, 2)]);
    }
}
