//! The additional interface that the program needs, on smol.

use std::io;
use std::net::TcpStream;

use async_signal::{Signal, Signals};
use driver_common::runtime::{AppRuntime, hangup_ends};
use smol::Async;
use smol::stream::StreamExt;
use smol_hyper::rt::{FuturesIo, SmolTimer};

use crate::{Smol, SmolStream};

impl AppRuntime for Smol {
    type HttpIo = FuturesIo<Async<TcpStream>>;
    type HttpTimer = SmolTimer;

    async fn interrupted(&self) -> io::Result<()> {
        let hangup = hangup_ends().then_some(Signal::Hup);
        let mut signals = Signals::new([Signal::Int, Signal::Term].into_iter().chain(hangup))?;
        signals.next().await.transpose().map(drop)
    }

    fn http_io(&self, stream: SmolStream) -> FuturesIo<Async<TcpStream>> {
        FuturesIo::new(stream.0)
    }

    fn http_timer(&self) -> SmolTimer {
        SmolTimer::new()
    }
}
