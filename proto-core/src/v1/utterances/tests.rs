use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::Identity;

const START: Instant = Instant::from_origin(Duration::from_secs(100));

fn speaker() -> NodeId {
    NodeId::from_bytes([7; 16])
}

/// The speaker, and the authors of entries.
fn sources(count: u8) -> Vec<Source> {
    let author = |n| Source::Entry(Identity::from_secret(&[n; 32]).key());
    core::iter::once(Source::Speaker).chain((1..count).map(author)).collect()
}

fn origin(source: Source) -> Origin {
    match source {
        Source::Speaker => Origin::Host([9, 9, 9, 9].into()),
        Source::Entry(key) => Origin::Author(key),
    }
}

/// The rule as SPEC 10.5 puts it: it looks at all utterances with these words, the oldest first.
#[derive(Default)]
struct Linear {
    utterances: Vec<Known>,
    next_number: u64,
}

struct Known {
    number: u64,
    text: &'static str,
    first: When,
    sources: Vec<Source>,
}

impl Known {
    fn can_be(&self, source: Source, when: When, limits: &Limits) -> bool {
        let apart =
            Duration::from_millis(self.first.at.abs_diff(when.at)).min(when.now.since(self.first.now));
        apart <= limits.v1.match_window && !self.sources.contains(&source)
    }
}

impl Linear {
    fn find(&self, source: Source, text: &str, when: When, limits: &Limits) -> Option<u64> {
        let mut same = self.utterances.iter().filter(|known| known.text == text);
        same.find(|known| known.can_be(source, when, limits)).map(|known| known.number)
    }

    /// Forgets the oldest with the same words as the oldest of the origin that has most.
    fn forget(&mut self) {
        let first = |known: &Known| origin(known.sources[0]);
        let count = |of: Origin| self.utterances.iter().filter(|known| first(known) == of).count();
        let most = self.utterances.iter().map(first).max_by_key(|of| (count(*of), *of));
        let oldest = self.utterances.iter().find(|known| Some(first(known)) == most);
        let text = oldest.map(|known| known.text);
        if let Some(index) = self.utterances.iter().position(|known| Some(known.text) == text) {
            self.utterances.remove(index);
        }
    }

    fn note(&mut self, source: Source, text: &'static str, when: When, limits: &Limits) -> Option<u64> {
        let found = self.find(source, text, when, limits);
        let Some(known) = self.utterances.iter_mut().find(|known| Some(known.number) == found) else {
            let number = self.next_number;
            self.next_number += 1;
            let sources = [source].into();
            self.utterances.push(Known { number, text, first: when, sources });
            if self.utterances.len() > limits.v1.lines {
                self.forget();
            }
            return Some(number);
        };
        if known.sources.len() < 8 {
            known.sources.push(source);
        }
        None
    }
}

#[derive(Clone, Copy, Debug)]
struct Report {
    source: usize,
    text: &'static str,
    after: u64,
    at: u64,
}

/// Reports from some sources of equal or different texts, in the order of their arrival. The clocks of nodes agree or
/// not.
fn reports() -> impl Strategy<Value = Vec<Report>> {
    let skewed = prop_oneof![Just(None), (0_u64..60).prop_map(Some)];
    let one = (0_usize..12, prop_oneof![4 => Just("a"), 1 => Just("b")], 0_u64..6, skewed);
    proptest::collection::vec(one, 1..150).prop_map(|reports| {
        let mut now = 0;
        let report = |(source, text, after, at): (_, _, _, Option<u64>)| {
            now += after;
            Report { source, text, after, at: at.unwrap_or(now) }
        };
        reports.into_iter().map(report).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_search_finds_what_a_linear_search_finds(
        reports in reports(), window in 0_u64..30, lines in 1_usize..60, count in 1_u8..12,
    ) {
        let limits = Limits::default().with(|limits| {
            limits.v1.match_window = Duration::from_millis(window);
            limits.v1.lines = lines;
        });
        let sources = sources(count);
        let (mut linear, mut utterances) = (Linear::default(), Utterances::default());
        let mut now = START;
        for Report { source, text, after, at } in reports {
            now = now + Duration::from_millis(after);
            let (source, when) = (sources[source % sources.len()], When { now, at });
            let expected = linear.find(source, text, when, &limits);
            let repeats = utterances.by_words.get_mut(&Words::new(speaker(), text));
            prop_assert_eq!(repeats.and_then(|repeats| repeats.first_match(source, when, &limits)), expected);
            let noted = utterances.note(origin(source), speaker(), text, when, &limits);
            prop_assert_eq!(noted, linear.note(source, text, when, &limits));
            prop_assert!(utterances.is_consistent());
        }
    }
}

/// Notes so many reports of equal words, `apart` from each other, said when `at` says. How many utterances the searches
/// looked at.
fn steps(
    utterances: &mut Utterances,
    source: Source,
    start: Instant,
    apart: Duration,
    at: impl Fn(Instant) -> u64,
) -> usize {
    let limits = Limits::default();
    let looked = |utterances: &Utterances| {
        utterances.by_words.values().map(|repeats| repeats.steps.get()).sum::<usize>()
    };
    let before = looked(utterances);
    for n in 0..limits.v1.lines {
        let now = start + apart * u32::try_from(n).unwrap();
        utterances.note(origin(source), speaker(), "same", When { now, at: at(now) }, &limits);
    }
    looked(utterances) - before
}

fn clock(now: Instant) -> u64 {
    u64::try_from(now.since_origin().as_millis()).unwrap()
}

#[test]
fn equal_lines_cost_one_step_each_at_any_pace() {
    let lines = Limits::default().v1.lines;
    for apart in [0, 1, 10, 1_000, 100_000] {
        let mut utterances = Utterances::default();
        let apart = Duration::from_millis(apart);
        let taken = steps(&mut utterances, Source::Speaker, START, apart, clock);
        assert_eq!(utterances.sizes()[0], lines);
        // The first report finds no utterances to search.
        assert!((lines - 1..=lines).contains(&taken), "{taken} steps, {apart:?} apart");
    }
}

#[test]
fn equal_lines_that_another_node_brings_in_a_second_later_cost_few_steps() {
    let sources = sources(3);
    let lines = Limits::default().v1.lines;
    for apart in [0, 1, 10, 1_000] {
        let mut utterances = Utterances::default();
        let apart = Duration::from_millis(apart);
        steps(&mut utterances, Source::Speaker, START, apart, clock);
        let later = START + apart * u32::try_from(lines).unwrap();
        for source in &sources[1..] {
            // The entries say when the lines were said.
            let at = |now: Instant| clock(now) - clock(later) + clock(START);
            let taken = steps(&mut utterances, *source, later, apart, at);
            assert!(taken <= 4 * lines, "{taken} steps, {apart:?} apart");
            assert_eq!(utterances.sizes()[0], lines, "each is recognised");
        }
    }
}

#[test]
fn one_author_that_dates_all_its_entries_alike_costs_one_step_each() {
    let author = sources(2)[1];
    let lines = Limits::default().v1.lines;
    let mut utterances = Utterances::default();
    let apart = Duration::from_secs(1);
    steps(&mut utterances, author, START, apart, |_| 1);
    let later = START + apart * u32::try_from(2 * lines).unwrap();
    let taken = steps(&mut utterances, author, later, apart, |_| 1);
    assert!(taken <= lines, "{taken} steps");
}

#[test]
fn lines_that_others_brought_in_long_ago_cost_a_new_source_few_steps() {
    let sources = sources(3);
    let lines = Limits::default().v1.lines;
    let mut utterances = Utterances::default();
    let apart = Duration::from_millis(100);
    steps(&mut utterances, sources[1], START, apart, clock);
    let later = START + Duration::from_secs(3_600);
    let taken = steps(&mut utterances, sources[2], later, apart, clock);
    assert!(taken <= 2 * lines, "{taken} steps");
}
