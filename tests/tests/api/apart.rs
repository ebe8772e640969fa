//! A node on a thread of its own: it stays in the network namespace where it was started, and can be made to stand still.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use driver_common::api::{Access, ApiLimits};
use driver_common::runtime::AppRuntime;
use driver_smol::Smol;
use driver_tokio::Tokio;
use smol::channel::{self, Receiver, Sender};
use tests::process::Driver;

use crate::node::Node;

type Work = Box<dyn FnOnce() + Send>;

pub(crate) struct Apart {
    node: Node,
    work: Sender<Work>,
}

impl Apart {
    /// Its API listens at this address, and serves these.
    pub(crate) fn start(driver: Driver, ip: Ipv4Addr, access: Access) -> Self {
        let (tell, told) = mpsc::sync_channel(1);
        let (work, given) = channel::bounded(1);
        thread::spawn(move || match driver {
            Driver::Tokio => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let tokio = Tokio::new(runtime.handle().clone());
                runtime.block_on(run(tokio, ip, access, tell, given));
            }
            Driver::Smol => {
                let executor = Arc::new(smol::Executor::new());
                let smol = Smol::on(Arc::clone(&executor));
                smol::block_on(executor.run(run(smol, ip, access, tell, given)));
            }
        });
        Self { node: told.recv().unwrap(), work }
    }

    /// Does this while the node stands still.
    pub(crate) fn meanwhile<T>(&self, work: impl FnOnce() -> T) -> T {
        let (stand, stands) = mpsc::sync_channel(1);
        let (go_on, goes_on) = mpsc::sync_channel::<()>(1);
        let stand_still = move || {
            stand.send(()).unwrap();
            // It ends when nobody can send any more.
            let _ = goes_on.recv();
        };
        self.work.send_blocking(Box::new(stand_still)).unwrap();
        stands.recv().unwrap();
        let done = work();
        drop(go_on);
        done
    }
}

impl Deref for Apart {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

async fn run<R: AppRuntime>(
    runtime: R,
    ip: Ipv4Addr,
    access: Access,
    tell: mpsc::SyncSender<Node>,
    given: Receiver<Work>,
) {
    tell.send(Node::on(&runtime, ip, "Alice", vec![], access, ApiLimits::default())).unwrap();
    while let Ok(work) = given.recv().await {
        work();
    }
}
