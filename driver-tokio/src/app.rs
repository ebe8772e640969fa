//! The additional interface that the program needs, on Tokio.

use std::io;

use driver_common::runtime::{AppRuntime, hangup_ends};
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
        let mut hangup = if hangup_ends() { Some(signal(SignalKind::hangup())?) } else { None };
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
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
