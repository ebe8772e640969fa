//! The program: it combines the node, the API, the terminal, signals and the exit code.

mod advertise;
mod exit;
mod resources;

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::or;
use proto_core::{Config, Identity, Name, PeerAddr};

use self::exit::Deadline;
use crate::api::{self, Access, ApiLimits};
use crate::broadcast::{self, Feed};
use crate::options::{History, Options};
use crate::runtime::AppRuntime;
use crate::store::{Shown, Store, StoreOptions, Threads};
use crate::terminal::{EventPrinter, Quit, Terminal};
use crate::{ApiToken, DataDir, Handle, net, new_identity, node, repeats};

/// A node that has its ports and is ready to run.
#[derive(Debug)]
pub struct App {
    options: Options,
    listener: TcpListener,
    api: Option<(TcpListener, Access)>,
    terminal: Terminal,
    identity: Identity,
    /// Locked while the node runs. `None` if its key is not stored.
    data: Option<DataDir>,
    /// `None` if nothing else is stored.
    store: Option<Store>,
}

/// Why the program ends with an error, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AppError(String);

impl AppError {
    /// An error with this text.
    pub fn new(line: impl fmt::Display) -> Self {
        Self(line.to_string())
    }
}

/// After a request to stop, the process ends within this time, even if a peer, a client or standard output hangs.
const GRACE: Duration = Duration::from_millis(1800);

/// The main function of a binary: reads the command line and calls `run` to run the node on a runtime.
pub fn main(binary: &'static str, run: impl FnOnce(App) -> Result<(), AppError>) -> ExitCode {
    let options = match Options::from_process(binary) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match App::open(options).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It fails if standard error is closed. Then there is nowhere to report it.
            let _ = writeln!(io::stderr(), "{binary}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl App {
    fn open(options: Options) -> Result<Self, AppError> {
        resources::check_descriptors()?;
        resources::check_thread()?;
        let terminal = Terminal::open(&options).map_err(AppError::new)?;
        let listener = listen(options.bind, "--port")?;
        let api = options.api_port.map(|port| {
            let listener = listen((Ipv4Addr::LOCALHOST, port).into(), "--api-port")?;
            access(&options).map(|access| (listener, access))
        });
        let api = api.transpose()?;
        let (identity, data) = identify(&options, &terminal)?;
        let store = open_store(&options, &identity, data.as_ref())?;
        Ok(Self { options, listener, api, terminal, identity, data, store })
    }

    /// Runs the node until a signal or the user stops it.
    pub async fn run<R: AppRuntime>(self, runtime: R) -> Result<(), AppError> {
        let deadline =
            Deadline::new(self.terminal.restore()).map_err(|error| resources::no_thread(&error))?;
        let mut interrupted = pin!(async {
            runtime.interrupted().await.map_err(|error| AppError(format!("cannot wait for signals: {error}")))
        });
        let started = async { self.start(&runtime).await.map(Some) };
        let Some(running) = or(async { interrupted.as_mut().await.map(|()| None) }, started).await? else {
            return Ok(());
        };
        let gone = async {
            running.feed.ended().await;
            Err(AppError("the node stopped unexpectedly".to_owned()))
        };
        let left = async {
            running.quit.asked().await;
            Ok(())
        };
        or(or(interrupted, left), gone).await?;
        deadline.arm(GRACE);
        running.stop().await;
        Ok(())
    }

    async fn start<R: AppRuntime>(self, runtime: &R) -> Result<Running, AppError> {
        let Self { options, listener, api, mut terminal, identity, data, mut store } = self;
        options.warnings().for_each(|warning| terminal.warning(&warning));
        let config = Config::builder(options.uname.clone())
            .listen_addr(options.advertise.as_ref().and_then(advertise::address))
            .network(options.network)
            .allow_v1(options.allow_v1)
            .trust_loopback(options.trusts_loopback())
            .plaintext(options.plaintext)
            .presence(true)
            .store(store.is_some())
            .limits(|limits| *limits = options.limits())
            .build()
            .map_err(AppError::new)?;
        store.iter().flat_map(Store::notices).for_each(|notice| terminal.notice(&notice.to_string()));
        let threads = store.as_mut().map(Store::take_threads);
        let key = identity.key();
        let node = node::start_with_store(runtime, listener, identity, config, options.peers, store)
            .map_err(AppError::new)?;
        let api_listener = api.as_ref().map(|(listener, _)| listener);
        terminal.notice(&greeting(
            &options.uname,
            node.local_addr,
            api_listener,
            options.api_token_file.as_deref(),
        )?);
        let (mut printer, quit) =
            terminal.start(node.handle.clone(), options.uname).map_err(AppError::new)?;
        if let Some(before) = last_messages(&node.handle).await {
            printer.print_before(&before, key.node_id()).await;
        }
        if let Some(name @ PeerAddr::Host { .. }) = options.advertise {
            advertise_later(runtime, name, node.handle.clone(), terminal.notifier());
        }
        let (broadcast, mut feed) = broadcast::channel();
        if let Some(store) = node.handle.store() {
            feed = feed.with_store(store.clone(), key);
        }
        runtime.spawn(broadcast.run(node.events, printer));
        let (serving, api_ended) = async_channel::bounded(1);
        if let Some((listener, access)) = api {
            let listener = runtime.listener(listener).map_err(AppError::new)?;
            let limits = ApiLimits::default();
            let serve =
                api::serve(runtime.clone(), listener, node.handle.clone(), feed.clone(), access, limits);
            runtime.spawn(async move {
                serve.await;
                drop(serving);
            });
        }
        Ok(Running { handle: node.handle, feed, api_ended, quit, threads, _terminal: terminal, _data: data })
    }
}

/// Advertises the address of a name once it is resolved, however long that takes.
fn advertise_later<R: AppRuntime>(
    runtime: &R,
    name: PeerAddr,
    handle: Handle,
    notify: impl Fn(&str) + Send + 'static,
) {
    let sleeper = runtime.clone();
    runtime.spawn(async move {
        let sleep = |at| {
            let runtime = sleeper.clone();
            async move { runtime.sleep_until(at).await }
        };
        let addr = advertise::resolved(name, move |text| notify(&text), sleep).await;
        // It fails if the node has stopped.
        let _ = handle.advertise(addr).await;
    });
}

/// A running node and everything that belongs to it.
struct Running {
    handle: Handle,
    feed: Feed,
    /// Closed when the API has ended. It carries no messages.
    api_ended: Receiver<Infallible>,
    quit: Quit,
    /// Those of the store.
    threads: Option<Threads>,
    /// Dropped last, which restores the terminal after everything is printed.
    _terminal: Terminal,
    _data: Option<DataDir>,
}

impl Running {
    async fn stop(self) {
        self.handle.shutdown().await;
        self.feed.ended().await;
        let _ = self.api_ended.recv().await;
        if let Some(threads) = self.threads {
            threads.wait();
        }
    }
}

/// The key stored for this port. If there is no place to store one, a new key for this run.
fn identify(options: &Options, terminal: &Terminal) -> Result<(Identity, Option<DataDir>), AppError> {
    let base = options.data_dir.as_deref();
    if base.is_some() || options.bind.port() != 0 {
        let stored = DataDir::open(base, options.bind.port())
            .and_then(|data| data.identity().map(|identity| (identity, Some(data))));
        match stored {
            Ok(stored) => return Ok(stored),
            Err(error) if error.is_storage_unavailable() => terminal.warning(&format!(
                "this node's key cannot be stored, so it uses a new one for this run only: {error}"
            )),
            Err(error) => return Err(AppError::new(error)),
        }
    }
    new_identity().map(|identity| (identity, None)).map_err(AppError::new)
}

/// The store in the data folder, if there is one and the user wants it.
fn open_store(
    options: &Options,
    identity: &Identity,
    data: Option<&DataDir>,
) -> Result<Option<Store>, AppError> {
    let (Some(data), History::On(retention)) = (data, options.history) else { return Ok(None) };
    let mut wanted = StoreOptions::new(identity.key(), options.network);
    wanted.retention = retention;
    Store::open(data, &wanted).map(Some).map_err(AppError::new)
}

/// The end of the conversation before the node started, the newest message first.
async fn last_messages(handle: &Handle) -> Option<Vec<Shown>> {
    let mut shown = handle.store()?.page(None, EventPrinter::EARLIER).await.ok()?;
    repeats::mark(&mut shown);
    Some(shown)
}

/// Who may use the API, as the options say.
fn access(options: &Options) -> Result<Access, AppError> {
    let Some(file) = &options.api_token_file else { return Ok(Access::user_alone()) };
    let token = ApiToken::load_or_create(file);
    let token = token.map_err(|error| AppError(format!("--api-token-file: {error}")))?;
    Ok(Access::with_token(token, options.api_hosts.clone()))
}

fn listen(addr: SocketAddr, flag: &str) -> Result<TcpListener, AppError> {
    net::listen(addr).map_err(|error| {
        let port = addr.port();
        AppError(match error.kind() {
            io::ErrorKind::AddrInUse => format!("port {port} is already in use: choose another with {flag}"),
            io::ErrorKind::AddrNotAvailable => {
                format!("--bind {}: this machine has no such address", addr.ip())
            }
            io::ErrorKind::PermissionDenied => format!("no permission to listen on port {port}: {error}"),
            _ => format!("cannot listen on {addr}: {error}"),
        })
    })
}

/// The line that tells the user where the node listens.
fn greeting(
    uname: &Name,
    addr: SocketAddr,
    api: Option<&TcpListener>,
    token: Option<&Path>,
) -> Result<String, AppError> {
    let api = api.map(TcpListener::local_addr).transpose().map_err(AppError::new)?;
    let token = token.map(|file| format!(", token in {}", file.display())).unwrap_or_default();
    let page = api.map(|api| format!("; page and API on http://{api}{token}")).unwrap_or_default();
    Ok(format!("{uname} listens on {addr}{page}"))
}
