//! Putting back what was destroyed, on the command line.

use clap::Args;
use killick_model::{IdError, PointId};

use super::EntryName;

/// `killick undo`
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// An entry of the record by its index, a call by its id (c-...), or a recovery point by its own (k-...)
    pub(crate) what: UndoWhat,
    /// Prints the plan and does nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Overwrites this row although it was edited since, as the plan names it ("public.orders id=7")
    #[arg(long, value_name = "ROW")]
    pub(crate) overwrite: Vec<String>,
    /// Overwrites every row that was edited since
    #[arg(long, conflicts_with = "skip_edited")]
    pub(crate) overwrite_all: bool,
    /// Leaves rows that were edited since as they are, and restores the others
    #[arg(long)]
    pub(crate) skip_edited: bool,
    /// Lets the tables' own triggers fire for what is restored
    #[arg(long)]
    pub(crate) fire_triggers: bool,
    /// Lets functions that the agents' role owns run as the gateway's login, where tables call them for what is restored
    #[arg(long)]
    pub(crate) run_functions: bool,
}

/// What is to be undone.
#[derive(Clone, Debug)]
pub(crate) enum UndoWhat {
    /// An entry, or the entries of a call.
    Entry(EntryName),
    /// A recovery point.
    Point(PointId),
}

impl std::str::FromStr for UndoWhat {
    type Err = IdError;

    fn from_str(raw: &str) -> Result<Self, IdError> {
        if raw.starts_with("k-") {
            return PointId::parse(raw).map(Self::Point);
        }
        raw.parse().map(Self::Entry)
    }
}
