//! The API's limits.

use std::time::Duration;

/// The limits of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiLimits {
    /// Connections of the user that are not WebSockets. A further connection replaces the oldest one without a complete
    /// request. Everybody else may have as many together; the one who holds most makes room.
    pub connections: usize,
    /// WebSockets. A further one is answered with 503.
    pub sockets: usize,
    /// The size of a request's header, in bytes. A larger one is answered with 431.
    pub header: usize,
    /// The time from the start of the connection, or from the last answer, to the end of a request's header. Then the
    /// connection is closed.
    pub header_time: Duration,
    /// The size of a request's body, in bytes. A larger one is answered with 413.
    pub body: usize,
    /// The time from the end of the header to the end of the body. Then the request is answered with 408.
    pub body_time: Duration,
    /// If all connections have a complete request, one that is older than this may be replaced.
    pub answer_time: Duration,
    /// The size of a WebSocket message, in bytes. A larger one closes the WebSocket with 1009.
    pub message: usize,
    /// The size of a WebSocket's queue, in bytes. An event that does not fit closes the WebSocket with 1013.
    pub queue: usize,
    /// A WebSocket that is silent for this long is pinged.
    pub ping: Duration,
    /// A WebSocket that is silent for this long is dropped.
    pub dead: Duration,
    /// The time from the close frame to the end of the connection.
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
