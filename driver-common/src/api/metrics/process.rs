//! The figures of the program and of its process, named as Prometheus' own libraries name them.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The figures of this process. Each is missing where the system does not tell it.
#[derive(Debug, Default)]
pub(super) struct Figures {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    threads: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

impl Figures {
    /// As they are now. Only Linux tells them, in `/proc`.
    pub(super) fn now() -> Self {
        let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return Self::default() };
        let uptime_start = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_seconds(&stat));
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as f64;
        // The name before may have spaces and brackets in it. Behind it comes field 3 (proc_pid_stat(5)).
        let fields: Vec<_> =
            stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<f64>().ok();
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks),
            start_seconds: uptime_start.zip(field(22)).map(|(boot, since)| boot + since / ticks),
            threads: field(20),
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages * page),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as f64),
            max_fds: fs::read_to_string("/proc/self/limits").ok().and_then(|limits| most_files(&limits)),
        }
    }
}

/// When the system started: Unix time in seconds.
fn boot_seconds(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn most_files(limits: &str) -> Option<f64> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut build = encoder.encode_descriptor(
            "chat_build_info",
            "The version of the program",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(1_i64).encode(build.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?)?;
        if let Some(seconds) = self.cpu_seconds {
            let help = "Processor time used";
            let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(cpu)?;
        }
        for (name, help, value) in [
            ("process_start_time_seconds", "When the process started, in Unix time", self.start_seconds),
            ("process_threads", "Threads of the process", self.threads),
            ("process_resident_memory_bytes", "Memory in use", self.resident_bytes),
            ("process_virtual_memory_bytes", "Memory reserved", self.virtual_bytes),
            ("process_open_fds", "Open file descriptors", self.open_fds),
            ("process_max_fds", "The most open file descriptors", self.max_fds),
        ] {
            let Some(value) = value else { continue };
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read() {
        assert_eq!(boot_seconds("cpu 1 2\nbtime 17\nprocesses 3\n"), Some(17.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096   files\n";
        assert_eq!(most_files(limits), Some(1024.0));
        assert_eq!(most_files("Max open files   unlimited  unlimited files"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_all_figures() {
        let figures = Figures::now();
        let now = crate::clock::unix_time().as_secs_f64();
        assert!(
            figures.start_seconds.is_some_and(|start| start > now - 86_400.0 && start < now + 5.0),
            "{figures:?}"
        );
        assert!(figures.resident_bytes.is_some_and(|bytes| bytes > 100_000.0), "{figures:?}");
        assert!(
            figures.open_fds.is_some_and(|open| open >= 3.0) && figures.cpu_seconds.is_some(),
            "{figures:?}"
        );
        assert!(
            figures.threads.is_some_and(|threads| threads >= 1.0) && figures.virtual_bytes.is_some(),
            "{figures:?}"
        );
    }
}
