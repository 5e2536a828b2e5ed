//! Which policies can apply to a question at all, found by their scope.
//!
//! Cedar walks every policy of a set. A policy whose scope does not hold for a question is neither satisfied
//! nor can it err, so leaving it out changes nothing. At load each policy is filed under what its scope
//! names; a question looks under everything that its principal, action and resource are in. What is looked
//! up may hold a policy too many (`is` is not looked at), never one too few.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use parking_lot::RwLock;

use crate::load::Loaded;
use crate::question::Question;

/// Slices that are kept ready.
const SLICES_MAX: usize = 4_096;
/// Policies in all slices that are kept ready. Where policies name nothing in their scope, every slice is
/// nearly the whole set, and few are kept.
const SLICED_POLICIES_MAX: usize = 200_000;

/// A place in the files: what the scope names as principal, action and resource, 0 for nothing.
type Drawer = [u32; 3];

/// All policies, filed by scope.
pub(crate) struct Slices {
    /// What scopes name, numbered from 1.
    numbers: HashMap<EntityUid, u32>,
    /// Policies by their place in `policies`.
    drawers: HashMap<Drawer, Vec<u32>>,
    policies: Vec<Policy>,
    ready: RwLock<Ready>,
    whole: OnceLock<Result<Arc<PolicySet>, String>>,
}

/// Slices built before, by their policies: equal policies are the same slice.
#[derive(Default)]
struct Ready {
    slices: HashMap<Vec<Drawer>, Arc<PolicySet>>,
    policies: usize,
}

impl Slices {
    /// Files the policies.
    pub(crate) fn new(loaded: &[Loaded]) -> Self {
        let mut slices = Self {
            numbers: HashMap::new(),
            drawers: HashMap::new(),
            policies: loaded.iter().map(|it| it.policy.clone()).collect(),
            ready: RwLock::default(),
            whole: OnceLock::new(),
        };
        for (at, it) in (0_u32..).zip(loaded) {
            slices.file(at, &it.policy);
        }
        slices
    }

    fn file(&mut self, at: u32, policy: &Policy) {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => 0,
            PrincipalConstraint::In(uid)
            | PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::IsIn(_, uid) => self.number(uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => 0,
            ResourceConstraint::In(uid)
            | ResourceConstraint::Eq(uid)
            | ResourceConstraint::IsIn(_, uid) => self.number(uid),
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => vec![0],
            ActionConstraint::Eq(uid) => vec![self.number(uid)],
            ActionConstraint::In(uids) => uids.into_iter().map(|uid| self.number(uid)).collect(),
        };
        for action in actions {
            self.drawers.entry([principal, action, resource]).or_default().push(at);
        }
    }

    fn number(&mut self, uid: EntityUid) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
        *self.numbers.entry(uid).or_insert(next)
    }

    /// Returns every policy that can apply to the question.
    pub(crate) fn of(&self, question: &Question) -> Result<Arc<PolicySet>, String> {
        let drawers = self.drawers_of(question);
        if let Some(slice) = self.ready.read().slices.get(&drawers) {
            return Ok(Arc::clone(slice));
        }
        let slice = Arc::new(self.built(&drawers)?);
        self.keep(drawers, &slice);
        Ok(slice)
    }

    /// Returns all policies, whatever the question.
    pub(crate) fn whole(&self) -> Result<Arc<PolicySet>, String> {
        let built = || {
            let whole = PolicySet::from_policies(self.policies.iter().cloned());
            whole.map(Arc::new).map_err(|e| e.to_string())
        };
        self.whole.get_or_init(built).clone()
    }

    fn drawers_of(&self, question: &Question) -> Vec<Drawer> {
        let numbers = |uids: &[EntityUid]| -> Vec<u32> {
            let known = uids.iter().filter_map(|uid| self.numbers.get(uid).copied());
            let mut numbers: Vec<u32> = std::iter::once(0).chain(known).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let actions = numbers(&question.action_in);
        let resources = numbers(&question.resource_in);
        let mut found = Vec::new();
        for principal in numbers(&question.principal_in) {
            for action in &actions {
                let drawers = resources.iter().map(|resource| [principal, *action, *resource]);
                found.extend(drawers.filter(|drawer| self.drawers.contains_key(drawer)));
            }
        }
        found
    }

    fn built(&self, drawers: &[Drawer]) -> Result<PolicySet, String> {
        let filed = drawers.iter().filter_map(|drawer| self.drawers.get(drawer)).flatten();
        let mut places: Vec<usize> = filed.filter_map(|at| usize::try_from(*at).ok()).collect();
        places.sort_unstable();
        places.dedup();
        let policies = places.into_iter().filter_map(|at| self.policies.get(at).cloned());
        PolicySet::from_policies(policies).map_err(|e| e.to_string())
    }

    fn keep(&self, drawers: Vec<Drawer>, slice: &Arc<PolicySet>) {
        let mut ready = self.ready.write();
        let policies = slice.num_of_policies();
        if ready.slices.len() >= SLICES_MAX
            || ready.policies.saturating_add(policies) > SLICED_POLICIES_MAX
        {
            *ready = Ready::default();
        }
        ready.policies = ready.policies.saturating_add(policies);
        ready.slices.insert(drawers, Arc::clone(slice));
    }
}
