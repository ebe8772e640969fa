//! The yardstick: sockets that write 64 KiB at once, and receivers that only count line ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use memchr::memchr_iter;

use crate::child::{self, Role};
use crate::{LINE, RECEIVERS, Run, text, timed};

const BLOCK: usize = 64 * 1024;

pub(crate) fn measure(messages: usize) -> Run {
    let mut receivers: Vec<_> =
        (0..RECEIVERS).map(|_| Role::start("bare-receiver", [messages.to_string()])).collect();
    let addrs: Vec<_> = receivers.iter_mut().map(Role::hear).collect();
    let mut speaker = Role::start("bare-speaker", [messages.to_string()].into_iter().chain(addrs));
    assert_eq!(speaker.hear(), "linked");
    let pids: Vec<_> = receivers.iter().chain([&speaker]).map(Role::pid).collect();
    let (deliveries, wall, cpu) = timed(&pids, || {
        speaker.tell("go");
        receivers.iter_mut().map(|receiver| receiver.hear().parse::<usize>().unwrap()).sum()
    });
    Run { deliveries, wall, cpu, lost: messages * RECEIVERS - deliveries, reordered: 0 }
}

pub(crate) fn receive(messages: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    child::say(&listener.local_addr().unwrap().to_string());
    let (mut stream, _) = listener.accept().unwrap();
    let mut buffer = vec![0; BLOCK];
    let mut heard = 0;
    while heard < messages {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => heard += memchr_iter(b'\n', &buffer[..count]).count(),
        }
    }
    child::say(&heard.to_string());
    child::wait();
}

pub(crate) fn speak(messages: usize, addrs: &[&str]) {
    let mut streams: Vec<_> = addrs.iter().map(|addr| TcpStream::connect(addr).unwrap()).collect();
    let block: String = (0..BLOCK / LINE).map(|number| format!("MSG|{}\n", text(number))).collect();
    child::say("linked");
    child::wait();
    let mut left = messages * LINE;
    while left > 0 {
        let block = &block.as_bytes()[..left.min(BLOCK)];
        streams.iter_mut().for_each(|stream| stream.write_all(block).unwrap());
        left -= block.len();
    }
    child::wait();
}
