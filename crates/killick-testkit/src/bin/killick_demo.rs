//! Plays the incident against a practice world: without the gateway, and with it.

use std::io::Write as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match killick_testkit::demo::play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "demo: it did not end as it must: {error:#}");
            ExitCode::FAILURE
        }
    }
}
