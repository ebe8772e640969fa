//! Reads the body of a request, within limits of size and time.

use std::time::Duration;

use futures_lite::future::or;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::rt::Timer;

use super::timer::SharedTimer;

/// Why a body was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    /// The connection broke, or the body violates HTTP framing.
    Broken,
}

/// The number of bytes discarded from a body that is too large, so that its sender can read the answer.
const DISCARD: usize = 1024 * 1024;

/// Reads the whole body: at most `limit` bytes, within `time`.
pub(super) async fn read(
    request: Request<Incoming>,
    limit: usize,
    time: Duration,
    timer: &SharedTimer,
) -> Result<Vec<u8>, BodyError> {
    let too_large = request.body().size_hint().lower() > limit as u64;
    // The client waits for permission before it sends the body.
    if too_large && request.headers().contains_key(EXPECT) {
        return Err(BodyError::TooLarge);
    }
    let late = async {
        timer.sleep(time).await;
        Err(if too_large { BodyError::TooLarge } else { BodyError::TooSlow })
    };
    or(collect(request.into_body(), limit), late).await
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit.saturating_add(DISCARD) {
            break;
        }
        if length <= limit {
            bytes.extend_from_slice(&data);
        }
    }
    if length > limit { Err(BodyError::TooLarge) } else { Ok(bytes) }
}
