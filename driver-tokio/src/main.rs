//! The node on Tokio. One thread runs everything except terminal I/O and name resolution.

use std::process::ExitCode;

use driver_common::app::{self, AppError};
use driver_tokio::Tokio;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    app::main("chat-tokio", |app| {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(AppError::new)?;
        let tokio = Tokio::new(runtime.handle().clone());
        runtime.block_on(app.run(tokio))
    })
}
