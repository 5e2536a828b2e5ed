//! `killick session narrow`: an agent opens a narrower session for a sub-agent.

use super::Ended;
use crate::cli::SessionNarrowArgs;
use crate::failure::Failure;

pub(super) fn narrow(_session: &super::Session, _args: SessionNarrowArgs) -> Ended {
    Err(Failure::new("this build cannot narrow sessions", "ask your operator"))
}
