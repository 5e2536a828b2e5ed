//! Which policies can apply to a question at all.

use std::sync::Arc;

use cedar_policy::PolicySet;

use crate::load::Loaded;
use crate::question::{Question, Vocabulary};

/// The policies, found by their scope.
pub(crate) struct Slices {
    whole: Result<Arc<PolicySet>, String>,
}

impl Slices {
    pub(crate) fn new(_words: &Vocabulary, loaded: &[Loaded]) -> Self {
        let whole = PolicySet::from_policies(loaded.iter().map(|it| it.policy.clone()));
        Self { whole: whole.map(Arc::new).map_err(|e| e.to_string()) }
    }

    pub(crate) fn of(&self, _question: &Question) -> Result<Arc<PolicySet>, String> {
        self.whole.clone()
    }
}
