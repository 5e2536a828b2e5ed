//! The decision point: Cedar, the ladder, explanations, fail closed.
//!
//! Pure: facts in, a ruling out; no file, no socket, no clock. Policies are loaded once into a [`Pdp`], which
//! is immutable and swapped as a whole. One question is one operation on one object ([`Case`]); it is asked
//! as it is, then with a way to survive it, then with a human's approval, then with both ([`Pdp::climb`]).
//! A call is all its parts on all its objects ([`Pdp::judge_call`]). A policy that errs denies.

mod because;
mod case;
mod catalogue;
mod explain;
mod guard;
mod ladder;
mod load;
mod pdp;
mod question;
mod remembered;
mod ruling;
mod slice;
mod source;

pub use case::{Approved, CallCase, Case, Standing};
pub use catalogue::{ActionCatalogue, OperationNameError};
pub use explain::Explained;
pub use ladder::{Answer, Ladder, Landing, Rung};
pub use pdp::Pdp;
pub use ruling::{Needs, Ruling, Verdict};
pub use source::{PolicyProblem, PolicySource};
