//! Times and dates as the user's clock shows them.

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::visible::visible;

/// How times are shown: in the syntax of `strftime`, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeFormat(Option<Arc<str>>);

/// Why a text is no format of times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a format of times: {0}")]
pub struct TimeFormatError(String);

impl FromStr for TimeFormat {
    type Err = TimeFormatError;

    /// An empty text, or `none`, shows no times.
    fn from_str(text: &str) -> Result<Self, TimeFormatError> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Self(None));
        }
        let epoch = TimeZone::UTC.to_datetime(Timestamp::UNIX_EPOCH);
        match strtime::format(text, epoch) {
            Ok(_) => Ok(Self(Some(text.into()))),
            Err(error) => Err(TimeFormatError(error.to_string())),
        }
    }
}

impl TimeFormat {
    /// The time in this format. None: times are not shown.
    pub(crate) fn show(&self, unix_ms: u64) -> Option<String> {
        let format = self.0.as_deref()?;
        let time = local(unix_ms).and_then(|time| strtime::format(format, time).ok());
        Some(time.map_or_else(|| "?".to_owned(), |time| visible(&time)))
    }

    /// The day, for a divider between two days. None: times are not shown.
    pub(crate) fn day(&self, unix_ms: u64) -> Option<String> {
        self.0.as_ref()?;
        local(unix_ms).map(|time| time.strftime("%A, %-d %B %Y").to_string())
    }
}

/// Date and time in numbers.
pub(crate) fn date_and_time(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(
        || "at an impossible time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

fn local(unix_ms: u64) -> Option<DateTime> {
    let ms = i64::try_from(unix_ms).ok()?;
    Some(TimeZone::system().to_datetime(Timestamp::from_millisecond(ms).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_checked_and_empty_ones_show_nothing() {
        for none in ["", " ", "none"] {
            assert_eq!(none.parse::<TimeFormat>().unwrap().show(0), None);
        }
        let error = "%H:%".parse::<TimeFormat>().unwrap_err();
        assert!(error.to_string().starts_with("not a format of times: "), "{error}");
        let year: TimeFormat = "\x1b%Y".parse().unwrap();
        // At 3 ms after the Unix epoch it was still 1969 in the West.
        let shown = year.show(3).unwrap();
        assert!(shown == "␛1970" || shown == "␛1969", "{shown}");
        assert_eq!(year.show(u64::MAX), Some("?".to_owned()));
        assert_eq!(date_and_time(u64::MAX), "at an impossible time");
    }
}
