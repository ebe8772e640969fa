//! The node's metrics for Prometheus, in the OpenMetrics format, or in the older text format.

mod process;

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use proto_core::{CapacityStatus, Status};

use crate::store::StoreStatus;

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0, which Prometheus asks for.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which everybody reads, its own checker too.
    Text,
}

impl Format {
    /// The content type (OpenMetrics 1.0, "Protocol Negotiation").
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Renders the metrics of a status, of the program and of its process.
pub(super) fn render(
    status: Status,
    store: Option<StoreStatus>,
    format: Format,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.sub_registry_with_prefix("chat").register_collector(Box::new(Scrape(status, store)));
    registry.register_collector(Box::new(process::Figures::now()));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    match format {
        Format::OpenMetrics => Ok(out),
        Format::Text => as_text(&out),
    }
}

/// The same in the text format: there, a counter is called as its value is, and nothing marks the end.
fn as_text(open: &str) -> Result<String, fmt::Error> {
    let counters: BTreeSet<_> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::new();
    for line in open.lines() {
        let about =
            ["# HELP ", "# TYPE "].into_iter().find_map(|about| Some((about, line.strip_prefix(about)?)));
        match about {
            Some((about, rest)) => {
                let (name, what) = rest.split_once(' ').unwrap_or((rest, ""));
                let end = if counters.contains(name) { "_total" } else { "" };
                writeln!(out, "{about}{name}{end} {what}")?;
            }
            None if line.starts_with('#') => {}
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(out)
}

#[derive(Debug)]
struct Scrape(Status, Option<StoreStatus>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Status { links, pending, book, tree, entries, gaps, stats, capacities, clock_ahead_ms, .. } =
            &self.0;
        if let Some(store) = &self.1 {
            kept(&mut encoder, store)?;
        }
        let queued = links.iter().map(|link| link.queued).sum();
        let keyed = links.iter().filter(|link| link.peer.key.is_some()).count();
        let missing: u64 = gaps.iter().map(|gap| gap.to.saturating_sub(gap.from)).sum();
        let gauges = [
            ("peers", "Connected peers", links.len()),
            ("peers_with_key", "Connected peers that have a key", keyed),
            ("connections_pending", "Connections in the handshake or being closed", *pending),
            ("queued_bytes", "Bytes queued for peers", queued),
            ("book_known", "Addresses in the address book", book.known),
            ("book_linked", "Addresses in the address book that are linked", book.linked),
            ("book_dialing", "Addresses in the address book that are being dialed", book.dialing),
            ("tree_children", "Children of this node in the eager tree", tree.children.len()),
            ("entries_held", "Entries stored in the log", entries.held),
            ("entries_bytes", "Bytes of the entries stored in the log", entries.bytes),
            ("entries_early", "Entries that wait for earlier ones", entries.early),
            ("entries_parked", "Entries dated too far ahead that wait", entries.parked),
            ("authors", "Known authors", entries.authors),
            ("entries_seen", "Ids of recent entries", entries.seen),
            ("entries_awaited", "Entries to be requested from neighbours", entries.awaited),
            (
                "entries_missing",
                "Entries known to be missing",
                usize::try_from(missing).unwrap_or(usize::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        let ahead = clock_ahead_ms.unwrap_or(0) as f64 / 1e3;
        let about = "How far this clock is ahead of the others; 0 if it is right";
        let ahead_seconds =
            encoder.encode_descriptor("clock_ahead_seconds", about, None, MetricType::Gauge)?;
        ConstGauge::new(ahead).encode(ahead_seconds)?;
        by_capacity(&mut encoder, "capacity_used", "How full each bounded thing is", capacities, |fill| {
            fill.holds
        })?;
        by_capacity(&mut encoder, "capacity_bound", "The bound of each", capacities, |fill| fill.bound)?;
        // Every counter of the core, under the core's name.
        let Ok(serde_json::Value::Object(counters)) = serde_json::to_value(stats) else { return Ok(()) };
        for (name, value) in counters {
            let Some(value) = value.as_u64() else { continue };
            counter(&mut encoder, &name, help(&name), value)?;
        }
        Ok(())
    }
}

/// The state of the store.
fn kept(encoder: &mut DescriptorEncoder<'_>, store: &StoreStatus) -> fmt::Result {
    let works = i64::from(store.problem.is_none());
    gauge(encoder, "store_works", "Whether the store can write", works)?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    gauge(encoder, "store_bytes", "Size of the store's database", number(store.bytes))?;
    gauge(encoder, "store_waiting", "Records that wait to be committed", number(store.waiting as u64))?;
    counter(encoder, "store_entries", "Records committed", store.stored)?;
    counter(encoder, "store_commits", "Commits", store.commits)?;
    counter(encoder, "store_failures", "Times that the store could not write any more", store.failures)?;
    counter(
        encoder,
        "store_expired",
        "Entries whose bodies were dropped for age, number or size",
        store.expired,
    )
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// One gauge with a label for each capacity.
fn by_capacity(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    capacities: &[CapacityStatus],
    value: fn(&CapacityStatus) -> usize,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for fill in capacities {
        // The same name as in `GET /status`.
        let Ok(serde_json::Value::String(capacity)) = serde_json::to_value(fill.capacity) else { continue };
        let value = i64::try_from(value(fill)).unwrap_or(i64::MAX);
        ConstGauge::new(value).encode(family.encode_family(&[("capacity", capacity)])?)?;
    }
    Ok(())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// The description of a counter, as in `proto_core::Stats`.
fn help(name: &str) -> &'static str {
    let found = HELP.iter().find(|(counter, _)| *counter == name);
    found.map_or("A counter of the protocol", |(_, help)| help)
}

const HELP: &[(&str, &str)] = &[
    ("delivered", "Messages received from others"),
    ("said", "Messages sent by this node"),
    ("signed", "Entries signed by this node"),
    ("entries", "Entries of others that were accepted"),
    ("entries_known", "Entries that arrived again"),
    ("entries_dropped", "Entries that arrived and were not accepted"),
    ("entries_displaced", "Waiting entries that were dropped to make room"),
    ("entries_archived", "Entries of others that only the store keeps"),
    ("entries_not_kept", "Entries that left the log before the store could be asked to keep them"),
    ("spans_given_up", "Spans of missing entries that are no longer looked for, to make room"),
    ("loads", "Times that the store was read for a neighbour"),
    ("entries_evicted", "Entries that left the log for newer ones"),
    ("ids_forgotten", "Entry ids forgotten to make room"),
    ("authors_forgotten", "Authors whose sequence was forgotten to make room"),
    ("epochs_forgotten", "Epochs whose sequence was forgotten to make room"),
    ("gaps_forgotten", "Gaps forgotten to make room"),
    ("entries_not_shown", "Entries of an unknown kind, or in a room, that were due to be shown"),
    ("bodies_gone", "Entries that arrived without their bodies"),
    ("live", "Entries outside of any run that were relayed"),
    ("live_over_rate", "Entries outside of any run that were over the rate of a neighbour"),
    ("live_untimely", "Entries outside of any run that were dated too far from now"),
    ("names_taken", "Entries shown of authors whose name another key had before"),
    ("names_forgotten", "Names of authors forgotten to make room"),
    ("members_forgotten", "Members forgotten to make room"),
    ("forks", "Times that a run of an author turned out to be forked, or forked at a lower number"),
    ("entries_withdrawn", "Entries that left the log because of a fork"),
    ("forks_forgotten", "Frozen runs forgotten to make room"),
    ("floors_forgotten", "Authors forgotten of whom nothing was held any more"),
    ("tips_forgotten", "Runs of entries forgotten of which nothing was held any more"),
    ("entries_of_new_authors", "Entries dropped because a neighbour brought new authors too fast"),
    ("verified_together", "Entries whose signatures were verified together with others"),
    ("verified_alone", "Entries whose signatures were verified by themselves"),
    ("entries_over_rate", "Entries dropped because they exceeded their author's rate"),
    ("entries_sent", "Copies of entries sent, including relayed ones"),
    ("entries_not_pushed", "Entries not pushed because the link was full"),
    ("announcements_dropped", "Announcements dropped to make room and left to reconciliation"),
    (
        "served_over_budget",
        "Entries and ranges not served because a neighbour had used up its budget of bytes",
    ),
    ("requests_dropped", "Entries not requested because too many were awaited"),
    ("lines_dropped", "Lines of peers without a key that were not signed here, for lack of room or time"),
    ("lines_forgotten", "Lines of peers without a key that were forgotten to make room"),
    ("gaps", "Times that entries were reported missing"),
    ("syncs", "Reconciliations started by this node"),
    ("syncs_given_up", "Reconciliations started by this node that took too many messages or too long"),
    ("syncs_refused", "Reconciliation messages ignored because they came too fast"),
    ("roots_ignored", "Claims to be the root ignored because they came too fast"),
    ("busy", "Times that sending a message had to wait"),
    ("unknown_frames", "Frames of unknown type, and version 2 frames from version 1 peers"),
    ("violations", "Protocol violations by peers"),
    ("malformed", "Malformed frames that were skipped"),
    ("accepted", "Connections accepted"),
    ("dials", "Dials started"),
    ("dials_failed", "Dials that did not lead to a connection"),
    ("evicted", "Pending connections closed to make room for others"),
    ("turned_away", "Newcomers redirected because all connections were in use"),
    ("banned", "Newcomers refused because they were banned for violations"),
    ("foreign", "Newcomers refused because they belong to another network"),
    ("lines_relayed", "Messages of others relayed to peers without a key"),
    ("lines_signed", "Lines of peers without a key that this node signed and relayed"),
    ("displaced", "Links closed to make room for newcomers"),
    ("trimmed", "Links closed because there were too many"),
    ("explored", "Dials to addresses not known to be in use"),
    ("slow", "Links closed because the peer received too slowly"),
    ("silent", "Links closed because the peer was silent for too long"),
    ("duplicates", "Duplicate connections to one peer that were resolved"),
    ("learned", "Addresses added to the book"),
    ("addresses_ignored", "Addresses skipped because of a limit or a rule"),
    ("dials_postponed", "Times that a dial was postponed for want of budget"),
    ("peers_withheld", "Times that a peer was not told of another, which it cannot reach"),
    ("pauses", "Times that reading from a link was paused"),
    ("handshakes", "Handshakes of sealed connections that peers opened"),
    ("handshakes_delayed", "Handshakes that had to wait for their turn"),
    ("refused_clear", "Connections dropped because they were not sealed"),
    ("wrong_keys", "Dials that found another node than the expected one"),
];

#[cfg(test)]
mod tests {
    use proto_core::{Config, Identity, Instant, Node, Stats};

    use super::*;

    fn status() -> Status {
        let config = Config::new("Alice".parse().unwrap());
        let node = Node::new(config, Identity::from_secret(&[1; 32]), [1; 32], Instant::ORIGIN);
        let mut status = node.status();
        status.stats = Stats::default();
        (status.stats.delivered, status.stats.said) = (u64::MAX, 7);
        status.clock_ahead_ms = Some(-5);
        status
    }

    #[test]
    fn the_text_is_openmetrics() {
        let text = render(status(), Some(StoreStatus::default()), Format::OpenMetrics).unwrap();
        for line in [
            "# HELP chat_peers Connected peers",
            "# TYPE chat_peers gauge",
            "chat_peers 0",
            "chat_clock_ahead_seconds -0.005",
            concat!("chat_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# TYPE chat_capacity_used gauge",
            "chat_capacity_used{capacity=\"connections\"} 0",
            "chat_capacity_used{capacity=\"v1_lost\"} 0",
            "chat_capacity_bound{capacity=\"seen\"} 131072",
            "chat_store_works 1",
            "chat_store_failures_total 0",
            "# TYPE chat_said counter",
            "chat_said_total 7",
            "chat_delivered_total 18446744073709551615",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn in_the_text_format_a_counter_is_called_as_its_value_is() {
        let text = render(status(), None, Format::Text).unwrap();
        for line in [
            "# HELP chat_said_total Messages sent by this node",
            "# TYPE chat_said_total counter",
            "chat_said_total 7",
            "# TYPE chat_peers gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("chat_peers_total"));
        let mut names = BTreeSet::new();
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            assert!(names.insert(name), "{name} comes twice");
        }
    }

    #[test]
    fn every_counter_is_explained() {
        let counters = serde_json::to_value(Stats::default()).unwrap();
        for name in counters.as_object().unwrap().keys() {
            assert!(HELP.iter().any(|(explained, _)| explained == name), "{name}");
        }
    }
}
