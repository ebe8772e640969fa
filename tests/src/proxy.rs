//! Somebody between two nodes, who sees all that is sent and does with it what the test wants.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::Journal;

/// What it does with a connection.
pub type Treatment = Arc<dyn Fn(&Proxy, TcpStream) + Send + Sync>;

/// Listens on a port of its own, and treats each connection as it was last told to.
#[derive(Clone)]
pub struct Proxy {
    addr: SocketAddr,
    treatment: Arc<Mutex<Treatment>>,
    /// What the dialing sides sent, in pieces.
    dialers: Journal<Vec<u8>>,
    /// What the dialed sides sent, in pieces.
    listeners: Journal<Vec<u8>>,
    /// How the treatment of a connection ended.
    treated: Journal<()>,
}

impl Proxy {
    /// Begins to listen.
    ///
    /// # Panics
    /// When there is no port.
    pub fn new(treatment: Treatment) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let proxy = Self {
            addr: listener.local_addr().expect("an address"),
            treatment: Arc::new(Mutex::new(treatment)),
            dialers: Journal::default(),
            listeners: Journal::default(),
            treated: Journal::default(),
        };
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let proxy = accepting.clone();
                std::thread::spawn(move || {
                    let treatment =
                        Arc::clone(&proxy.treatment.lock().unwrap_or_else(PoisonError::into_inner));
                    treatment(&proxy, stream);
                    proxy.treated.push(());
                });
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Treats later connections so.
    pub fn treat(&self, treatment: Treatment) {
        *self.treatment.lock().unwrap_or_else(PoisonError::into_inner) = treatment;
    }

    /// What the dialing sides sent, in pieces.
    pub fn dialers(&self) -> &Journal<Vec<u8>> {
        &self.dialers
    }

    /// What the dialed sides sent, in pieces.
    pub fn listeners(&self) -> &Journal<Vec<u8>> {
        &self.listeners
    }

    /// One entry for each connection whose treatment has ended.
    pub fn treated(&self) -> &Journal<()> {
        &self.treated
    }

    /// Reads a piece of what a dialer sends. None: it sends no more.
    pub fn read(&self, stream: &mut TcpStream) -> Option<Vec<u8>> {
        read_piece(stream, &self.dialers)
    }

    /// Passes everything on, both ways, to the end.
    pub fn relay(to: SocketAddr) -> Treatment {
        Self::relay_up_to(to, usize::MAX)
    }

    /// Passes on what comes, and of what the dialed side sends so many bytes at most. Then it cuts the connection.
    pub fn relay_up_to(to: SocketAddr, most: usize) -> Treatment {
        Arc::new(move |proxy, mut dialer| {
            let Ok(mut listener) = TcpStream::connect(to) else { return };
            let (Ok(mut from), Ok(mut into)) = (dialer.try_clone(), listener.try_clone()) else { return };
            let there = proxy.clone();
            let back = std::thread::spawn(move || {
                let mut left = most;
                while let Some(mut piece) = read_piece(&mut listener, &there.listeners) {
                    piece.truncate(left);
                    left -= piece.len();
                    if dialer.write_all(&piece).is_err() || left == 0 {
                        break;
                    }
                }
                let _ = dialer.shutdown(Shutdown::Both);
                let _ = listener.shutdown(Shutdown::Both);
            });
            while let Some(piece) = proxy.read(&mut from) {
                if into.write_all(&piece).is_err() {
                    break;
                }
            }
            let _ = into.shutdown(Shutdown::Write);
            let _ = back.join();
        })
    }

    /// Waits for the first bytes of the dialer, answers with these, and reads to the end.
    pub fn answer(with: Vec<u8>) -> Treatment {
        Arc::new(move |proxy, mut stream| {
            if proxy.read(&mut stream).is_some() && stream.write_all(&with).is_ok() {
                while proxy.read(&mut stream).is_some() {}
            }
        })
    }
}

fn read_piece(stream: &mut TcpStream, seen: &Journal<Vec<u8>>) -> Option<Vec<u8>> {
    let mut piece = vec![0; 64 * 1024];
    let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
    piece.truncate(count);
    seen.push(piece.clone());
    Some(piece)
}
