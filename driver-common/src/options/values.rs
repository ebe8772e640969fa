//! Reads the values of flags.

use std::net::IpAddr;
use std::path::PathBuf;

use proto_core::{Name, NetworkId, PeerAddr, PeerTarget, Plaintext};

use super::{LogFormat, OutputForm};
use crate::api::ApiHost;
use crate::terminal::TimeFormat;

pub(super) fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("{text:?} is not a port from 1 to 65535, or 0 for any free port"))
}

pub(super) fn ip_addr(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address, as in 127.0.0.1 or ::1"))
}

pub(super) fn peer_addr(text: &str) -> Result<PeerAddr, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

pub(super) fn peer_target(text: &str) -> Result<PeerTarget, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

pub(super) fn plaintext(text: &str) -> Result<Plaintext, String> {
    match text {
        "off" => Ok(Plaintext::Off),
        "loopback" => Ok(Plaintext::Loopback),
        "allow" => Ok(Plaintext::Allow),
        _ => Err(format!("{text:?} is none of off, loopback and allow")),
    }
}

pub(super) fn advertise(text: &str) -> Result<PeerAddr, String> {
    match peer_addr(text)? {
        PeerAddr::Ip(addr) if addr.ip().is_unspecified() || addr.ip().is_multicast() => {
            Err(format!("{text:?}: no peer can connect to that address"))
        }
        addr => Ok(addr),
    }
}

pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the folder name is empty".to_owned()) } else { Ok(text.into()) }
}

pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    match PathBuf::from(text) {
        path if path.file_name().is_some() => Ok(path),
        _ => Err(format!("{text:?} does not name a file")),
    }
}

pub(super) fn api_host(text: &str) -> Result<ApiHost, String> {
    let text = text.trim();
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// The largest accepted degree.
pub(super) const MAX_DEGREE: usize = 64;

pub(super) fn degree(text: &str) -> Result<usize, String> {
    let degree = text.parse().ok().filter(|degree| (1..=MAX_DEGREE).contains(degree));
    degree.ok_or_else(|| format!("{text:?} is not a number of links from 1 to {MAX_DEGREE}"))
}

pub(super) fn uname(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// The longest name of a network, in bytes.
const MAX_NETWORK: usize = 64;

pub(super) fn network(text: &str) -> Result<NetworkId, String> {
    if text.len() > MAX_NETWORK || text.chars().any(char::is_control) {
        return Err(format!(
            "{text:?} is not a name of at most {MAX_NETWORK} bytes without control characters"
        ));
    }
    Ok(NetworkId::named(text))
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither 1 nor 0")),
    }
}

pub(super) fn count(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number from 0 to 255"))
}

/// The login name, turned into a legal name.
pub(super) fn login_name() -> Name {
    let login = whoami::fallible::username().unwrap_or_default();
    let printable: String = login.chars().filter(|char| !char.is_control()).collect();
    Name::cut(printable.trim()).unwrap_or_else(|| Name::cut("anonymous").expect("the name is legal"))
}

pub(super) fn output_form(text: &str) -> Result<OutputForm, String> {
    match text {
        "text" => Ok(OutputForm::Text),
        "json" => Ok(OutputForm::Json),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

pub(super) fn time_format(text: &str) -> Result<TimeFormat, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
