//! `killick doctor`

use crate::commands::{Ended, Session};
use crate::failure::Exit;

pub(crate) fn doctor(_session: &Session) -> Ended {
    Ok(Exit::Done)
}
