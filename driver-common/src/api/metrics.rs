//! The node's figures for Prometheus, in its OpenMetrics form.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use proto_core::{CapacityStatus, Status};

/// What [`render`] makes (OpenMetrics 1.0, "Protocol Negotiation").
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text that is scraped.
pub(super) fn render(status: Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("chat");
    registry.register_collector(Box::new(Scrape(status)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Scrape(Status);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Status { links, pending, book, tree, entries, gaps, stats, capacities, clock_ahead_ms, .. } =
            &self.0;
        let queued = links.iter().map(|link| link.queued).sum();
        let keyed = links.iter().filter(|link| link.peer.key.is_some()).count();
        let missing: u64 = gaps.iter().map(|gap| gap.to.saturating_sub(gap.from)).sum();
        let gauges = [
            ("peers", "Peers that are linked", links.len()),
            ("peers_with_key", "Of them, those that speak entries", keyed),
            ("connections_pending", "Connections that are greeting or being closed", *pending),
            ("queued_bytes", "Bytes that wait to be written to peers", queued),
            ("book_known", "Addresses in the book", book.known),
            ("book_linked", "Of them, those that are linked", book.linked),
            ("book_dialing", "Of them, those that are being dialed", book.dialing),
            ("tree_children", "Neighbours below this node in the eager tree", tree.children.len()),
            ("entries_held", "Entries in the window", entries.held),
            ("entries_bytes", "Bytes that they take", entries.bytes),
            ("entries_early", "Entries that wait for those before them", entries.early),
            ("entries_parked", "Entries that are dated too far ahead", entries.parked),
            ("authors", "Authors known", entries.authors),
            ("entries_seen", "Ids of entries that came lately", entries.seen),
            ("entries_awaited", "Entries that are elsewhere and asked for in turn", entries.awaited),
            (
                "entries_missing",
                "Entries known to be missing",
                usize::try_from(missing).unwrap_or(usize::MAX),
            ),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        let ahead = clock_ahead_ms.unwrap_or(0);
        gauge(
            &mut encoder,
            "clock_ahead_milliseconds",
            "By which this clock is ahead, where it is off",
            ahead,
        )?;
        by_capacity(
            &mut encoder,
            "stored",
            "How much is in each store that others can fill",
            capacities,
            |fill| fill.holds,
        )?;
        by_capacity(&mut encoder, "capacity_bound", "The most that can be in it", capacities, |fill| {
            fill.bound
        })?;
        // The counters are whatever the core counts, under its own names.
        let Ok(serde_json::Value::Object(counters)) = serde_json::to_value(stats) else { return Ok(()) };
        for (name, value) in counters {
            let Some(value) = value.as_u64() else { continue };
            counter(&mut encoder, &name, help(&name), value)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// A gauge of each capacity, which is the label.
fn by_capacity(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    capacities: &[CapacityStatus],
    value: fn(&CapacityStatus) -> usize,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for fill in capacities {
        // Its name in JSON is that in `GET /status`.
        let Ok(serde_json::Value::String(capacity)) = serde_json::to_value(fill.capacity) else { continue };
        let value = i64::try_from(value(fill)).unwrap_or(i64::MAX);
        ConstGauge::new(value).encode(family.encode_family(&[("capacity", capacity)])?)?;
    }
    Ok(())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// What a counter counts, as `proto_core::Stats` says.
fn help(name: &str) -> &'static str {
    let found = HELP.iter().find(|(counter, _)| *counter == name);
    found.map_or("A counter of the protocol", |(_, help)| help)
}

const HELP: &[(&str, &str)] = &[
    ("delivered", "Messages that came from others"),
    ("said", "Messages said here"),
    ("signed", "Entries signed here"),
    ("entries", "Entries of others that were taken"),
    ("entries_again", "Entries that came again"),
    ("entries_dropped", "Entries that came, but were not taken"),
    ("entries_put_off", "Entries taken that waited and had to make room"),
    ("entries_evicted", "Entries that left the log for younger ones"),
    ("ids_forgotten", "Ids of entries that are no longer known, for want of room"),
    ("authors_forgotten", "Authors whose order is no longer known, for want of room"),
    ("epochs_forgotten", "Epochs whose order is no longer known, for want of room"),
    ("gaps_forgotten", "Gaps that are no longer known as such, for want of room"),
    ("entries_over_rate", "Entries that came unasked faster than their author may speak"),
    ("entries_sent", "Copies of entries sent, relayed ones included"),
    ("entries_not_pushed", "Entries that a full link did not take"),
    ("announcements_dropped", "Announcements that were left to reconciliation, for want of room"),
    ("asks_dropped", "Entries elsewhere that were not asked for, for want of room"),
    ("lines_dropped", "Lines of peers without a key that were not brought in from here, for want of room"),
    ("lines_forgotten", "Lines of peers without a key that are no longer known, for want of room"),
    ("gaps", "Times that entries were reported missing"),
    ("syncs", "Reconciliations begun here"),
    ("syncs_given_up", "Reconciliations begun here that took too many messages, or too long"),
    ("syncs_refused", "Messages of reconciliations that came too fast and were not answered"),
    ("roots_passed_over", "Claims to be the root that came too fast and were passed over"),
    ("busy", "Times that something said had to wait"),
    ("unknown_frames", "Frames of unknown type, and version 2 frames from version 1 peers"),
    ("violations", "Rules broken by peers"),
    ("malformed", "Malformed frames that were skipped"),
    ("accepted", "Connections accepted"),
    ("dials", "Dials begun"),
    ("dials_failed", "Dials that did not become a connection"),
    ("evicted", "Pending connections that made room for others"),
    ("turned_away", "Newcomers sent on because all connections were in use"),
    ("shunned", "Newcomers refused because they had been cut for breaking rules"),
    ("told_in_lines", "Lines told to peers without a key of what others said"),
    ("brought_in", "Lines of such peers that were brought in as entries"),
    ("displaced", "Links closed to make room for newcomers"),
    ("trimmed", "Links closed because there were too many"),
    ("explored", "Dials to addresses of which it was not known whether anybody is there"),
    ("slow", "Links cut because they took too little"),
    ("silent", "Links that were silent for too long"),
    ("duplicates", "Second connections to one peer that were settled"),
    ("learned", "Addresses that were taken into the book"),
    ("passed_over", "Addresses that were passed over by a limit or a rule"),
    ("pauses", "Times that reading a link was paused"),
];

#[cfg(test)]
mod tests {
    use proto_core::{Config, Identity, Instant, Node, Stats};

    use super::*;

    fn status() -> Status {
        let config = Config::new("Alice".parse().unwrap());
        let node = Node::new(config, Identity::from_secret(&[1; 32]), [1; 32], Instant::ORIGIN).unwrap();
        let stats = Stats { delivered: u64::MAX, said: 7, ..Stats::default() };
        Status { stats, clock_ahead_ms: Some(-5), ..node.status() }
    }

    #[test]
    fn the_text_is_openmetrics() {
        let text = render(status()).unwrap();
        for line in [
            "# HELP chat_peers Peers that are linked",
            "# TYPE chat_peers gauge",
            "chat_peers 0",
            "chat_clock_ahead_milliseconds -5",
            "# TYPE chat_capacity_used gauge",
            "chat_capacity_used{capacity=\"connections\"} 0",
            "chat_capacity_used{capacity=\"v1_lost\"} 0",
            "chat_capacity_bound{capacity=\"seen\"} 131072",
            "# TYPE chat_said counter",
            "chat_said_total 7",
            "chat_delivered_total 18446744073709551615",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn every_counter_is_explained() {
        let counters = serde_json::to_value(Stats::default()).unwrap();
        for name in counters.as_object().unwrap().keys() {
            assert!(HELP.iter().any(|(explained, _)| explained == name), "{name}");
        }
    }
}
