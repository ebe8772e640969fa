//! The node's figures for Prometheus, in its OpenMetrics form.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::Figures;

/// What [`render`] makes (OpenMetrics 1.0, "Protocol Negotiation").
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text that is scraped.
pub(super) fn render(figures: Figures) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("chat");
    registry.register_collector(Box::new(Scrape(figures)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Scrape(Figures);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Figures { stats, peers, connections, buffered } = &self.0;
        let gauges = [
            ("peers", "Peers that are linked", *peers),
            ("connections", "Connections, those included that have not introduced themselves", *connections),
            ("queued_bytes", "Bytes in the buffers of all connections", *buffered),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        // The counters are whatever the core counts, under its own names.
        let Ok(serde_json::Value::Object(counters)) = serde_json::to_value(stats) else { return Ok(()) };
        for (name, value) in counters {
            let Some(value) = value.as_u64() else { continue };
            counter(&mut encoder, &name, help(&name), value)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let kind = prometheus_client::metrics::MetricType::Gauge;
    gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let kind = prometheus_client::metrics::MetricType::Counter;
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, kind)?)
}

/// What a counter counts, as `proto_core::Stats` says.
fn help(name: &str) -> &'static str {
    let found = HELP.iter().find(|(counter, _)| *counter == name);
    found.map_or("A counter of the protocol", |(_, help)| help)
}

const HELP: &[(&str, &str)] = &[
    ("delivered", "Messages that came from others"),
    ("said", "Messages said here"),
    ("busy", "Times that something said had to wait"),
    ("unknown_frames", "Frames of unknown type, and version 2 frames from version 1 peers"),
    ("violations", "Rules broken by peers"),
    ("malformed", "Malformed frames that were skipped"),
    ("accepted", "Connections accepted"),
    ("dials", "Dials begun"),
    ("dials_failed", "Dials that did not become a connection"),
    ("evicted", "Pending connections that made room for others"),
    ("turned_away", "Newcomers sent on because all connections were in use"),
    ("slow", "Links cut because they took too little"),
    ("silent", "Links that were silent for too long"),
    ("duplicates", "Second connections to one peer that were settled"),
    ("learned", "Addresses that were taken into the book"),
    ("passed_over", "Addresses that were passed over by a limit or a rule"),
    ("pauses", "Times that reading a link was paused"),
];

#[cfg(test)]
mod tests {
    use proto_core::Stats;

    use super::*;

    fn figures() -> Figures {
        let stats = Stats { delivered: u64::MAX, said: 7, ..Stats::default() };
        Figures { stats, peers: 3, connections: 5, buffered: 11 }
    }

    #[test]
    fn the_text_is_openmetrics() {
        let text = render(figures()).unwrap();
        for line in [
            "# HELP chat_peers Peers that are linked",
            "# TYPE chat_peers gauge",
            "chat_peers 3",
            "chat_queued_bytes 11",
            "# TYPE chat_said counter",
            "chat_said_total 7",
            "chat_delivered_total 18446744073709551615",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
