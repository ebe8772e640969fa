//! The node on smol. One thread runs everything except socket readiness, terminal I/O and name resolution.

use std::process::ExitCode;
use std::sync::Arc;

use driver_common::app;
use driver_smol::Smol;
use smol::Executor;

fn main() -> ExitCode {
    app::main("chat-smol", |app| {
        let executor = Arc::new(Executor::new());
        // smol's own `block_on` reads the sockets' events, too, and so competes with the thread that waits for them.
        smol::future::block_on(executor.run(app.run(Smol::on(Arc::clone(&executor)))))
    })
}
