//! What `runtime::Stream` promises, on the sockets of both drivers.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::task::{Context, Waker};

use driver_common::runtime::{Runtime, Stream};
use driver_smol::Smol;
use driver_tokio::Tokio;
use smol::Timer;
use smol::future::FutureExt;
use tests::journal::SOON;

#[test]
fn a_read_that_does_not_fill_its_buffer_has_taken_all() {
    on_tokio(take_all);
    on_smol(take_all);
}

async fn take_all(stream: impl Stream, mut other: TcpStream) {
    let mut buffer = [0; 16];
    for text in ["one", "two"] {
        other.write_all(text.as_bytes()).unwrap();
        assert_eq!(read(&stream, &mut buffer).await, text.as_bytes());
        let more = pin!(poll_fn(|cx| stream.poll_readable(cx)));
        assert!(more.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "nothing more has come");
    }
    other.write_all(&[7; 100]).unwrap();
    let mut count = 0;
    while count < 100 {
        count += read(&stream, &mut buffer).await.len();
    }
    drop(other);
    assert_eq!(read(&stream, &mut buffer).await, b"");
}

#[test]
fn an_end_that_came_with_the_last_bytes_is_seen_behind_them() {
    on_tokio(see_end);
    on_smol(see_end);
}

async fn see_end(stream: impl Stream, mut other: TcpStream) {
    other.write_all(b"the last").unwrap();
    drop(other);
    let mut buffer = [0; 16];
    assert_eq!(read(&stream, &mut buffer).await, b"the last");
    assert_eq!(read(&stream, &mut buffer).await, b"");
}

/// Reads once something is there.
async fn read<'a>(stream: &impl Stream, buffer: &'a mut [u8]) -> &'a [u8] {
    loop {
        match stream.try_read(buffer) {
            Ok(count) => return &buffer[..count],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
    }
}

fn on_tokio<F: Future<Output = ()>>(run: impl FnOnce(<Tokio as Runtime>::Stream, TcpStream) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { within(on(&Tokio::current().unwrap(), run)).await });
}

fn on_smol<F: Future<Output = ()>>(run: impl FnOnce(<Smol as Runtime>::Stream, TcpStream) -> F) {
    smol::block_on(within(on(&Smol::global(), run)));
}

/// Runs this on a connection and its other end.
async fn on<R: Runtime, F: Future<Output = ()>>(runtime: &R, run: impl FnOnce(R::Stream, TcpStream) -> F) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    run(runtime.stream(socket).unwrap(), other).await;
}

async fn within(run: impl Future<Output = ()>) {
    let late = async {
        Timer::after(SOON).await;
        panic!("a stream was not woken");
    };
    run.or(late).await;
}
