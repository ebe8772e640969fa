//! One HTTP connection, until it ends or becomes a WebSocket.

use std::convert::Infallible;
use std::sync::Arc;

use futures_lite::future::or;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::Api;
use super::guard::Caller;
use super::route::Route;
use super::slots::ConnectionSlot;
use super::websocket;

/// Room for a header and for as much data after it. hyper requires at least 8 KiB.
const MIN_BUFFER: usize = 16 * 1024;

pub(super) async fn run<I>(api: Arc<Api>, io: I, caller: Caller, slot: ConnectionSlot)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let _open = api.open.clone();
    let (upgrades, upgraded) = async_channel::bounded(1);
    let route = Route { api: api.clone(), caller, marker: slot.marker(), upgrades };
    let service = service_fn(move |request| {
        let route = route.clone();
        async move { Ok::<_, Infallible>(route.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(api.timer.clone())
        .header_read_timeout(api.limits.header_time)
        .max_header_size(api.limits.header)
        .max_buf_size(api.limits.header.saturating_mul(2).max(MIN_BUFFER))
        .half_close(true)
        .serve_connection(io, service)
        .with_upgrades();
    let evicted = async {
        slot.evicted().await;
        Ok(())
    };
    if let Err(error) = or(connection, evicted).await {
        tracing::debug!(%error, "an HTTP connection failed");
    }
    drop(slot);
    if let Ok(upgrade) = upgraded.try_recv() {
        websocket::run(&api, upgrade).await;
    }
}
