//! What hostile peers do.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_core::{ConnId, Entry, MAX_TEXTS, NetworkId, RunPosition};
use serde_json::json;

use super::keys::{Keys, PERIOD_MS, SEQUENCE_MS, behind, line_of, of_body, position};
use super::{Hostile, Nanos};

/// Under how many keys one claims to be the root in turn.
const ROOTS: usize = 48;

/// The one bad thing that a hostile peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// Says nothing at all.
    Silent,
    /// Begins a `JOIN` and does not end it.
    HalfJoin,
    /// Greets, and reads nothing any more.
    Deaf,
    /// Sends random bytes.
    Garbage,
    /// Sends what it heard with some bytes changed.
    Mutate,
    /// Sends what it heard, again and again.
    Replay,
    /// Says as much as it can under its own key.
    FloodEntries,
    /// Pings, and tells of peers, as much as it can.
    FloodFrames,
    /// Says things in the names of others.
    Forge,
    /// Brings in words under the ids of others' keys, and goes by their names.
    Impersonate,
    /// Says two things under one number, to different peers.
    Fork,
    /// Says ever more things under one number, each with a lower id than those before.
    ForkLower,
    /// Says things behind others that it says to few or to nobody.
    ForkBehind,
    /// Dates and numbers its entries oddly.
    Odd,
    /// Tells of peers that are none.
    LiePeers,
    /// Tells of a stranger's machine, and of its network, as if there were a node at each port.
    Misdirect,
    /// Says that it is linked to everybody.
    LieLinks,
    /// Says that it stands next to the root, or that it is the root of a tree of its own.
    LieTree,
    /// Announces what it does not have, and never gives what it has.
    Withhold,
    /// Asks for everything, again and again.
    Ask,
    /// Is somebody else on each connection.
    Sybils,
    /// Takes the root's place by its rank, and relays nothing.
    TakeRoot,
    /// Relays what it heard without the bodies.
    Strip,
    /// Says what no node knows: kinds, classes and rooms without end.
    Novel,
    /// Greets as a node of another network every second time, and brings what was signed there.
    Foreign,
    /// Dates what it says ahead, by seconds to hours.
    DatesAhead,
    /// Says as much as fits entries, under its own key.
    BigEntries,
    /// Says each thing under another new key.
    ManyKeys,
    /// Is many peers without a key at one address, who say as much as they can.
    Crowd,
    /// Opens connections without end that say nothing.
    Knock,
    /// Announces more than it may say, and says it when it is asked for.
    AnnounceFirst,
    /// Comes without a link under ever new keys, and is gone again.
    Newcomers,
    /// Claims to be the root under one key after another, each of a lower rank.
    FlapRoot,
    /// Answers reconciliations with ids of nothing, and with differences without end.
    LieSync,
    /// Asks for as much as it can, so that nobody looks whether it answers reconciliations.
    BusyAsking,
    /// Asks for ranges, of all that there is, again and again.
    AskRanges,
    /// Has entries, and denies those before them or does not send them.
    DenyRanges,
    /// Says that it has runs which do not exist, and never shows them.
    FalseTips,
    /// Says under ever new keys that they are here, and that nobody hears of them for a day.
    ManyMembers,
}

impl Trick {
    /// All of them.
    pub const ALL: [Self; 39] = [
        Self::Silent,
        Self::HalfJoin,
        Self::Deaf,
        Self::Garbage,
        Self::Mutate,
        Self::Replay,
        Self::FloodEntries,
        Self::FloodFrames,
        Self::Forge,
        Self::Impersonate,
        Self::Fork,
        Self::ForkLower,
        Self::ForkBehind,
        Self::Odd,
        Self::LiePeers,
        Self::Misdirect,
        Self::LieLinks,
        Self::LieTree,
        Self::Withhold,
        Self::Ask,
        Self::Sybils,
        Self::TakeRoot,
        Self::Strip,
        Self::Novel,
        Self::Foreign,
        Self::DatesAhead,
        Self::BigEntries,
        Self::ManyKeys,
        Self::Crowd,
        Self::Knock,
        Self::AnnounceFirst,
        Self::Newcomers,
        Self::FlapRoot,
        Self::LieSync,
        Self::BusyAsking,
        Self::AskRanges,
        Self::DenyRanges,
        Self::FalseTips,
        Self::ManyMembers,
    ];

    /// Whether it has many connections to one node.
    pub(super) fn is_many(self) -> bool {
        matches!(self, Self::Crowd | Self::Knock)
    }
}

impl fmt::Display for Trick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Hostile {
    /// Adds to what is sent on one connection.
    pub(super) fn play(&mut self, now: Nanos, conn: ConnId, out: &mut Vec<u8>) {
        match self.trick {
            // These do what they do elsewhere.
            Trick::Silent | Trick::HalfJoin | Trick::Deaf | Trick::Knock | Trick::Newcomers => {}
            Trick::Crowd => self.chatter(out),
            Trick::FlapRoot => self.flap_root(now, out),
            Trick::LieSync => self.lie_in_sync(out),
            Trick::BusyAsking => {
                let ids: Vec<_> = (0..64).map(|_| URL_SAFE_NO_PAD.encode(self.dice.secret())).collect();
                line(out, format_args!("GRAFT|{}", ids.join(";")));
            }
            Trick::Garbage => self.garbage(out),
            Trick::Mutate => self.mutate(out),
            Trick::Replay => (0..20).for_each(|_| out.extend(self.some_line())),
            Trick::FloodEntries => (0..12).for_each(|_| self.say(now, 0, out)),
            Trick::FloodFrames => self.flood(out),
            Trick::Forge => self.forge(now, out),
            Trick::Impersonate => self.impersonate(now, out),
            Trick::Fork | Trick::ForkLower | Trick::ForkBehind => {
                let (trick, at) = (self.trick, self.unix_ms(now));
                self.forks.play((trick, conn), &self.keys, &mut self.dice, at, out);
            }
            Trick::Odd => self.odd(now, out),
            Trick::LiePeers => self.lie_about_peers(out),
            Trick::Misdirect => self.misdirect(out),
            Trick::LieLinks => {
                let ids = self.ids.join(";");
                line(out, format_args!("LINKS|{ids}"));
            }
            Trick::LieTree => self.lie_about_tree(now, out),
            Trick::Withhold => {
                self.announce_nothing(out);
                self.retell_tree(out);
            }
            Trick::Strip => self.stripped.play(&mut self.dice, out),
            Trick::Novel => (0..4).for_each(|_| self.say_what_is_unknown(now, out)),
            Trick::Ask => self.ask(out),
            Trick::AskRanges => self.ask_for_ranges(out),
            Trick::DenyRanges => self.lure(out),
            // Its answers are the bad thing.
            Trick::FalseTips => self.announce_nothing(out),
            Trick::Foreign => self.foreign(now, out),
            Trick::ManyMembers => (0..6).for_each(|_| self.another_member(now, out)),
            Trick::Sybils => self.lie_about_peers(out),
            Trick::DatesAhead => {
                let ahead = [5_000, 9_000, 11_000, 60_000, 118_000, 1_800_000, 3_500_000, 7_200_000];
                let ahead = *self.dice.pick(&ahead).unwrap_or(&0);
                if self.dice.chance(0.5) {
                    self.say(now, ahead, out);
                } else {
                    self.say_much(now, ahead, out);
                }
            }
            Trick::BigEntries if self.dice.chance(0.7) => {}
            Trick::BigEntries => {
                let text = "x".repeat(20_000 + self.dice.index(40_000));
                let at = self.unix_ms(now);
                self.say_next(at, &text, out);
            }
            Trick::ManyKeys => {
                // It has many connections. Whoever is new may be one of the honest here.
                if self.dice.chance(0.05) {
                    let at = self.unix_ms(now);
                    let keys = Keys::new(self.dice.secret());
                    out.extend(line_of(&keys.entry(7, RunPosition::FIRST, at, "one of many")));
                }
            }
            Trick::AnnounceFirst => {
                let at = self.unix_ms(now);
                if self.lures.are_stale(at) {
                    // What is over the rate would leave a hole in its run: each has one of its own.
                    let entries = self.keys.run_of(at, "was I asked?", 40);
                    self.lures.replace(at, &entries);
                }
                self.lures.announce(out);
            }
            Trick::TakeRoot => {
                let unix_ms = self.unix_ms(now);
                let (period, sequence) = (unix_ms / PERIOD_MS, unix_ms % PERIOD_MS / SEQUENCE_MS);
                line(out, format_args!("TREE|{}", self.keys.tree(period, sequence, 0, None)));
            }
        }
    }

    fn unix_ms(&self, now: Nanos) -> u64 {
        self.epoch_ms + now / 1_000_000
    }

    pub(super) fn some_line(&mut self) -> Vec<u8> {
        self.dice.pick(&self.heard).cloned().unwrap_or_default()
    }

    fn garbage(&mut self, out: &mut Vec<u8>) {
        let words = [
            "JOIN|", "PEERS|", "MSG|", "CHAT|", "IHAVE|", "GRAFT|", "RANGE|", "HELD|", "TREE|", "SYNC|",
            "LINKS|", "BYE", "PING|",
        ];
        let word = self.dice.pick(&words).copied().unwrap_or_default();
        out.extend_from_slice(word.as_bytes());
        let size = self.dice.below(17);
        let len = 1 + self.dice.below(1 << size);
        out.extend((0..len).map(|_| self.dice.roll() as u8));
        out.push(b'\n');
    }

    fn mutate(&mut self, out: &mut Vec<u8>) {
        let mut bytes = self.some_line();
        for _ in 0..1 + self.dice.below(4) {
            let at = self.dice.index(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = (self.dice.roll() as u8).max(b' ');
            }
        }
        out.extend(bytes);
    }

    /// The next entry under its own key.
    fn say(&mut self, now: Nanos, ahead_ms: u64, out: &mut Vec<u8>) {
        let at = self.unix_ms(now) + ahead_ms;
        let text = format!("buy {}", self.next.seq());
        self.say_next(at, &text, out);
    }

    /// As many texts as an entry may have, each of one letter: they take the most memory for what is sent.
    fn say_much(&mut self, now: Nanos, ahead_ms: u64, out: &mut Vec<u8>) {
        let at = self.unix_ms(now) + ahead_ms;
        let entry = self.keys.entry_of(7, self.next, at, &["x"; MAX_TEXTS]);
        self.next = behind(Some(&entry));
        out.extend(line_of(&entry));
    }

    fn say_next(&mut self, at: u64, text: &str, out: &mut Vec<u8>) {
        let entry = self.next_entry(at, text);
        out.extend(line_of(&entry));
    }

    fn next_entry(&mut self, at: u64, text: &str) -> Entry {
        let entry = self.keys.entry(7, self.next, at, text);
        self.next = behind(Some(&entry));
        entry
    }

    /// Its entry and its claim to be the root, signed for another network.
    fn foreign(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let unix_ms = self.unix_ms(now);
        let keys = Keys::in_network(*self.keys.secret(), NetworkId::named("elsewhere"));
        out.extend(line_of(&keys.entry(7, position(self.said), unix_ms, "from elsewhere")));
        self.said += 1;
        let (period, sequence) = (unix_ms / PERIOD_MS, unix_ms % PERIOD_MS / SEQUENCE_MS);
        line(out, format_args!("TREE|{}", keys.tree(period, sequence, 0, None)));
    }

    fn flood(&mut self, out: &mut Vec<u8>) {
        for _ in 0..200 {
            let token = self.dice.roll();
            line(out, format_args!("PING|{token:x}"));
        }
        self.lie_about_peers(out);
        line(out, format_args!("NOISE|{}", "x".repeat(60_000)));
    }

    fn forge(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let heard = self.some_line();
        let text = String::from_utf8_lossy(&heard).into_owned();
        let parts = text.trim_end().strip_prefix("CHAT|").and_then(|it| {
            let (signature, signed) = it.split_once('|')?;
            Some((signature, signed.split_once('|')?))
        });
        let Some((signature, (header, body))) = parts else { return self.say(now, 0, out) };
        match self.dice.below(5) {
            // Another text, number or time under the signature of somebody else.
            0 => line(out, format_args!("CHAT|{signature}|{header}|{}", body.replace("of host", "of ghost"))),
            1 => {
                let header = header.replace("\"seq\":", "\"seq\":1");
                line(out, format_args!("CHAT|{signature}|{header}|{body}"));
            }
            // Its own signature under the key of somebody else.
            2 => out.extend(self.keys.signed_line(&header.replacen("\"at\":", "\"at\":1", 1), body)),
            // The same entry once more, as far as JSON goes.
            3 => line(out, format_args!("CHAT|{signature}|{}|{body}", header.replacen('{', "{ ", 1))),
            // The same once more with another body behind its own.
            _ => line(out, format_args!("CHAT|{signature}|{header}|{body} ")),
        }
    }

    fn impersonate(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let of_keys: Vec<_> = self.ids.iter().filter(|id| id.as_bytes().get(14) == Some(&b'8')).collect();
        let id = self.dice.pick(&of_keys).map_or("", |id| id.as_str());
        let (key, at, seq) = (self.keys.key(), self.unix_ms(now), self.said);
        let prev = position(seq).prev().map_or_else(String::new, |prev| format!(r#","prev":"{prev}""#));
        let mut say = |uname: &str, class: &str, via: &str| {
            let body = format!(
                r#"{{"uname":"{uname}","speaker":"host","texts":["I owe you"],"salt":"AAAAAAAAAAAAAAAAAAAAAA"}}"#
            );
            let names = of_body("text", &body);
            let header =
                format!(r#"{{{class}"key":"{key}","epoch":7,"seq":{seq}{prev},"at":{at},{names}{via}}}"#);
            out.extend(self.keys.signed_line(&header, &body));
        };
        say("mallory", r#""class":"line","#, &format!(r#","via":"{id}""#));
        let heard = self.heard.iter().filter_map(|line| std::str::from_utf8(line).ok());
        let name = heard.filter_map(|line| line.split_once(r#""uname":""#)?.1.split_once('"')).next();
        say(name.map_or("mallory", |(name, _)| name), "", "");
        self.said += 1;
    }

    fn odd(&mut self, now: Nanos, out: &mut Vec<u8>) {
        const MOST: u64 = proto_core::MAX_NUMBER;
        let (wall, epoch) = (self.unix_ms(now), self.dice.below(6));
        let seq = *self.dice.pick(&[0, 1, 2, 70, 5_000, MOST - 1, MOST]).unwrap_or(&0);
        let at = *self
            .dice
            .pick(&[0, 1, wall - 3_600_000, wall, wall + 119_000, wall + 125_000, MOST])
            .unwrap_or(&0);
        out.extend(line_of(&self.keys.entry(epoch, position(seq), at, "odd")));
        let texts =
            |texts: &str| format!(r#"{{"uname":"m","texts":[{texts}],"salt":"AAAAAAAAAAAAAAAAAAAAAA"}}"#);
        let (place, body) = match self.dice.below(6) {
            0 => (format!(r#""seq":{},"#, u64::MAX), texts(r#""x""#)),
            1 => (r#""seq":0,"#.into(), texts("")),
            2 => (r#""seq":0,"#.into(), texts(r#""a\nb""#)),
            3 => (r#""seq":1,"#.into(), texts(r#""x""#)),
            4 => (r#""seq":0,"class":"line","#.into(), texts(r#""x""#)),
            _ => (format!(r#""seq":0,"x":{},"#, "[".repeat(10_000)), texts(r#""x""#)),
        };
        let names = of_body("text", &body);
        let header = format!(r#"{{"key":"{}","epoch":1,{place}"at":1,{names}}}"#, self.keys.key());
        out.extend(self.keys.signed_line(&header, &body));
    }

    /// A legal entry of a kind, class or room that nobody knows, or brought in for a peer that is none.
    fn say_what_is_unknown(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let (at, number, epoch) = (self.unix_ms(now), self.dice.below(1_000), self.dice.below(100));
        let text = r#"{"uname":"m","texts":["x"],"speaker":"y","salt":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
        let via = format!("{number:08x}-0000-4000-8000-000000000000");
        let (labels, kind, body) = match self.dice.below(6) {
            0 => (r#""seq":0"#.to_owned(), "vote", "yes"),
            1 => (format!(r#""room":"room {number}","seq":0"#), "text", text),
            2 => (format!(r#""class":"class-{number}","seq":0"#), "vote", ""),
            3 => (r#""class":"live""#.to_owned(), "typing", "here"),
            4 => (format!(r#""class":"class-{number}""#), "typing", "here"),
            _ => (format!(r#""class":"line","seq":0,"via":"{via}""#), "text", text),
        };
        let (key, names) = (self.keys.key(), of_body(kind, body));
        let header = format!(r#"{{{labels},"key":"{key}","epoch":{epoch},"at":{at},{names}}}"#);
        out.extend(self.keys.signed_line(&header, body));
    }

    /// Some key is here, was renamed, or leaves.
    fn another_member(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let at = self.unix_ms(now) + self.dice.below(3_000);
        let fresh = self.dice.chance(0.8).then(|| Keys::new(self.dice.secret()));
        let keys = fresh.as_ref().unwrap_or(&self.keys);
        let every = ["", r#","every":30"#, r#","every":86400"#, r#","every":99999999"#];
        let every = self.dice.pick(&every).copied().unwrap_or_default();
        let body = format!(r#"{{"uname":"host{}","since":{}{every}}}"#, at % 9, at - at % 5_000);
        let names = of_body("presence", &body);
        let header = format!(r#"{{"class":"live","key":"{}","epoch":1,"at":{at},{names}}}"#, keys.key());
        out.extend(keys.signed_line(&header, &body));
    }

    fn lie_about_peers(&mut self, out: &mut Vec<u8>) {
        self.tell_of(out, |[a, b, c], _| format!("10.{a}.{b}.{c}:4000"));
    }

    /// Half of the addresses are ports of one machine, half are machines next to it. No host has any of them.
    fn misdirect(&mut self, out: &mut Vec<u8>) {
        self.tell_of(out, |[a, b, c], port| match a % 2 {
            0 => format!("10.200.7.7:{}", 1_024 + port % 60_000),
            _ => format!("10.201.{}.{c}:4000", b % 2),
        });
    }

    fn tell_of(&mut self, out: &mut Vec<u8>, addr: fn([u8; 3], u16) -> String) {
        let records: Vec<_> = (0..40)
            .map(|_| {
                let [_, a, b, c, d, e, ..] = self.dice.roll().to_le_bytes();
                let id = match self.dice.pick(&self.ids) {
                    Some(id) if a % 2 == 0 => id.clone(),
                    _ => format!(
                        "{:08x}-0000-4000-8000-{:012x}",
                        self.dice.roll() as u32,
                        self.dice.roll() >> 16
                    ),
                };
                let addr = addr([a, b, c], u16::from_le_bytes([d, e]));
                json!({"listen_addr": addr, "node_id": id, "uname": "nobody", "remote_addr": addr})
                    .to_string()
            })
            .collect();
        line(out, format_args!("PEERS|{}", records.join(";")));
    }

    fn lie_about_tree(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let unix_ms = self.unix_ms(now);
        let period = (unix_ms / PERIOD_MS).saturating_add_signed(self.dice.below(3) as i64 - 1);
        let sequence =
            if self.dice.chance(0.5) { self.dice.roll() } else { unix_ms % PERIOD_MS / SEQUENCE_MS };
        line(out, format_args!("TREE|{}", self.keys.tree(period, sequence, 0, None)));
        self.retell_tree(out);
    }

    /// Claims of roots that displace each other, and then from the beginning.
    fn flap_root(&mut self, now: Nanos, out: &mut Vec<u8>) {
        let unix_ms = self.unix_ms(now);
        let (period, sequence) = (unix_ms / PERIOD_MS, unix_ms % PERIOD_MS / SEQUENCE_MS);
        if self.roots.is_empty() {
            self.roots = Keys::of_low_ranks(unix_ms, 2_000, ROOTS, &mut self.dice);
        }
        let next = self.acts as usize % ROOTS;
        let parent = self.ids.first().and_then(|id| id.parse().ok());
        line(out, format_args!("TREE|{}", self.roots[next].tree(period, sequence, 1, parent)));
    }

    /// Answers to what nobody asked, and to what was: by version 1 of the negentropy protocol, an id list and fingerprints.
    fn lie_in_sync(&mut self, out: &mut Vec<u8>) {
        let tag = *self.dice.pick(&[0, 1, 2, 2, 2, 3]).unwrap_or(&2);
        let since = if self.dice.chance(0.7) { 0 } else { self.dice.roll() };
        let mut bytes = vec![tag];
        bytes.extend(since.to_be_bytes());
        bytes.push(0x61);
        if self.dice.chance(0.5) {
            // One range up to infinity, with a hundred ids of nothing.
            bytes.extend([0, 0, 2, 100]);
            (0..100).for_each(|_| bytes.extend(self.dice.secret()));
        } else {
            // Ranges that end at one more millisecond each, with fingerprints of nothing.
            for _ in 0..self.dice.below(40) {
                bytes.extend([2, 0, 1]);
                bytes.extend(&self.dice.secret()[..16]);
            }
            bytes.extend([0, 0, 1]);
            bytes.extend(&self.dice.secret()[..16]);
        }
        line(out, format_args!("SYNC|{}", URL_SAFE_NO_PAD.encode(bytes)));
    }

    /// What others say of the root, with a better distance.
    fn retell_tree(&mut self, out: &mut Vec<u8>) {
        let trees = self.heard.iter().rev().filter_map(|line| std::str::from_utf8(line).ok());
        let Some(claim) = trees.filter_map(|line| line.trim_end().strip_prefix("TREE|")).next() else {
            return;
        };
        let fields: Vec<_> = claim.split(';').collect();
        if let [root, period, sequence, signature, ..] = fields[..] {
            let parent = self.ids.first().map_or("", String::as_str);
            let distance = self.dice.below(2);
            line(out, format_args!("TREE|{root};{period};{sequence};{signature};{distance};{parent}"));
        }
    }

    fn announce_nothing(&mut self, out: &mut Vec<u8>) {
        let ids: Vec<_> = (0..100).map(|_| URL_SAFE_NO_PAD.encode(self.dice.secret())).collect();
        line(out, format_args!("IHAVE|{}", ids.join(";")));
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let announced = self.heard.iter().filter_map(|line| std::str::from_utf8(line).ok());
        let ids: Vec<_> = announced
            .filter_map(|line| line.trim_end().strip_prefix("IHAVE|"))
            .flat_map(|ids| ids.split(';'))
            .take(60)
            .collect();
        (0..10).for_each(|_| line(out, format_args!("GRAFT|{}", ids.join(";"))));
        // The message of a reconciliation that has to be answered come what may, about all of time; then, by version 1 of
        // the negentropy protocol, one range of ids without any.
        let all_of_time = [&[1; 1][..], &[0; 8], &[0x61, 0, 0, 2, 0]].concat();
        line(out, format_args!("SYNC|{}", URL_SAFE_NO_PAD.encode(&all_of_time)));
        let len = self.dice.index(300);
        let noise = (0..len).map(|_| self.dice.roll() as u8);
        let noise: Vec<_> = all_of_time[..10].iter().copied().chain(noise).collect();
        line(out, format_args!("SYNC|{}", URL_SAFE_NO_PAD.encode(noise)));
    }
}

pub(super) fn line(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.extend_from_slice(text.to_string().as_bytes());
    out.push(b'\n');
}
