//! The API's bounds.

use std::time::Duration;

/// Every bound of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Connections that are no WebSocket. One more takes the place of the oldest without a complete request.
    pub connections: usize,
    /// WebSockets; one more is answered 503.
    pub sockets: usize,
    /// A request's header, in bytes; a larger one is answered 431.
    pub header: usize,
    /// From the connection's opening, or the last answer, to the end of a request's header; then it is closed.
    pub header_time: Duration,
    /// A request's body, in bytes; a larger one is answered 413.
    pub body: usize,
    /// From the end of the header to that of the body; then 408.
    pub body_time: Duration,
    /// Where all connections have a complete request, one answered for so long makes room.
    pub answer_time: Duration,
    /// A message from a WebSocket, in bytes; a larger one closes it (1009).
    pub message: usize,
    /// What waits for a WebSocket, in bytes; what does not fit closes it (1013).
    pub queue: usize,
    /// A WebSocket that is silent for so long is pinged.
    pub ping: Duration,
    /// A WebSocket that is silent for so long is dropped.
    pub dead: Duration,
    /// From the close frame to the connection's end, whatever the client does.
    pub closing: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            connections: 32,
            sockets: 16,
            header: 16 * KIB,
            header_time: Duration::from_secs(5),
            body: 64 * KIB,
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(10),
            message: 64 * KIB,
            queue: 1024 * KIB,
            ping: Duration::from_secs(20),
            dead: Duration::from_secs(60),
            closing: Duration::from_secs(5),
        }
    }
}
