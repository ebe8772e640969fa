//! The additional interface that the program needs, on Tokio.

use std::io;

use driver_common::runtime::AppRuntime;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Tokio, TokioStream};

impl AppRuntime for Tokio {
    type HttpIo = TokioIo<TcpStream>;
    type HttpTimer = TokioTimer;

    async fn interrupted(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    fn http_io(&self, stream: TokioStream) -> TokioIo<TcpStream> {
        TokioIo::new(stream.0)
    }

    fn http_timer(&self) -> TokioTimer {
        TokioTimer::new()
    }
}
