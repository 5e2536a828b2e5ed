//! The decision on one call: scope, the ladder, a human's yes, obligations, the permit.

use std::sync::Arc;

use killick_model::record::{Draft, Kind};
use killick_model::request::{Pending, PendingState};
use killick_model::{
    Action, CallId, Code, Effect, EffectWord, Means, ObjectFacts, Obligation, Part, PendingId,
    Refusal, Survivable, UnixMillis,
};
use killick_policy::Verdict as Said;
use killick_policy::{Approved, CallCase, Needs, Pdp, Ruling, Standing};

use crate::chain::{Call, Permitted, Stamp, Undecided};
use crate::details::CallDetails;
use crate::ending::{CarriedYes, DAMAGE_MILLIS, Ending};
use crate::gate::{Blocking, Gate, fresh_call, stopped, store_refusal};
use crate::ids;
use crate::obligations::{Hands, PointDue, PointTaken};
use crate::ports::{Damage, Durability};
use crate::requests::{Ask, Yes};
use crate::sessions::LiveSession;
use crate::wholes;

/// What the gate said.
#[must_use = "record and send the call, or tell the agent why not"]
pub enum Verdict<C> {
    /// The call may be recorded and sent.
    Permit(Box<Permitted<C>>),
    /// The call is refused or parked; the refusal is on the record.
    Refuse(Box<Refusal>),
}

/// A parked call whose grace period is over.
#[derive(Clone, Debug)]
pub struct Due {
    /// The parked call.
    pub pending: Pending,
}

/// All that a decision needs beside the call itself.
pub struct Asked<'a> {
    /// Who asks.
    pub live: &'a LiveSession,
    /// What was found about the objects, in the order of [`Action::objects`].
    pub facts: Vec<ObjectFacts>,
    /// The adapter that can revive it.
    pub adapter: &'static str,
    /// Who carries out obligations.
    pub hands: &'a dyn Hands,
    /// The parked call that this is, when its time has come.
    pub due: Option<&'a Due>,
    /// Whether the session's own environment is production by the names that the upstream uses.
    pub session_in_production: bool,
    /// What the call itself would destroy, for the damage budget.
    pub damage: Damage,
    /// The end of the transaction that the call is, when it is one.
    pub ending: Option<Ending<'a>>,
}

/// How the decision came to be, for the record.
struct Grounds {
    ruling: Ruling,
    yes: Option<Yes>,
    points: Vec<PointTaken>,
}

/// What is asked besides the call itself.
pub(crate) struct Besides {
    approved: Option<Approved>,
    survived: Option<Survivable>,
    /// Whether survival is possible at all.
    means: bool,
}

impl Besides {
    /// Returns what is asked besides at first.
    pub(crate) fn first(asked: &Asked<'_>) -> Self {
        let Some(ending) = asked.ending else {
            return Self { approved: None, survived: None, means: true };
        };
        let by: Vec<String> = ending.carried.iter().map(|yes| yes.by.clone()).collect();
        let covered = ending.is_covered(&asked.facts) && !by.is_empty();
        let approved = covered.then_some(Approved { by, quorum: 1 });
        let survived = ending.point.map(|_| Survivable::RecoveryPoint);
        Self { approved, survived, means: false }
    }
}

impl Gate {
    /// Decides a call. Everything that is not a permit is on the record when this returns.
    pub async fn decide<C: Call>(&self, asked: Asked<'_>, call: Undecided<C>) -> Verdict<C> {
        let Undecided(call) = call;
        let id = match fresh_call() {
            Ok(id) => id,
            Err(refusal) => return Verdict::Refuse(Box::new(refusal)),
        };
        self.void_what_does_not_cover(&asked, call.digest()).await;
        let ruled = match self.rule(&asked, &call, &id).await {
            Ok(grounds) => self.spend_carried(&asked, call.digest()).await.map(|()| grounds),
            Err(refusal) => Err(refusal),
        };
        match ruled {
            Ok(grounds) => {
                let entry = self.entry(&asked, &call, &id, &grounds);
                let lifeline = asked.live.lifeline.clone();
                let yes = grounds.yes.as_ref().map(|yes| CarriedYes::of(yes, &asked));
                let points = grounds.points.into_iter().map(|point| point.id).collect();
                Verdict::Permit(Box::new(Permitted::mint(
                    call,
                    Stamp { call: id, lifeline, entry, yes, points },
                )))
            }
            // Parking is on the record already, under this call.
            Err(parked) if parked.code == Code::Pending && parked.call.is_some() => {
                Verdict::Refuse(Box::new(parked))
            }
            Err(refusal) => {
                let refusal = refusal.with_call(id);
                let found = serde_json::json!({
                    "digest": call.digest(), "parts": call.action().parts(), "facts": asked.facts,
                    "upstream": call.upstream(),
                });
                let action = Some(call.action());
                Verdict::Refuse(Box::new(
                    self.refuse(Some(asked.live), action, refusal, found).await,
                ))
            }
        }
    }

    async fn rule<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
    ) -> Result<Grounds, Refusal> {
        let live = asked.live;
        live.lifeline.check().map_err(|code| stopped(code, id))?;
        if asked.due.is_none() && live.principal.expires <= self.now() {
            return Err(stopped(Code::SessionEnded, id));
        }
        if let Some(due) = asked.due {
            return self.rule_due(asked, call, due).await;
        }
        if !call.action().effect().is_only_read() {
            let parked = self
                .parked(&live.principal.session, call.digest())
                .await
                .map_err(|error| store_refusal(&error))?;
            if let Some(pending) = parked {
                return Err(pending_refusal(&pending, self.now()));
            }
        }
        let pdp = self.policies();
        let ruling = self.judge(&pdp, asked, call.action(), Besides::first(asked)).await?;
        match ruling.verdict.clone() {
            Said::Permit => Ok(Grounds { ruling, yes: None, points: Vec::new() }),
            Said::Deny => Err(denied(&ruling)),
            Said::Need(needs) if needs.approval() => {
                self.with_yes(asked, call, id, ruling, &needs).await
            }
            Said::Need(needs) => self.survive(asked, call, id, (ruling, needs), None).await,
        }
    }

    /// Looks for a human's yes; without one, asks for it. With one, the decision point is asked again.
    async fn with_yes<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
        ruling: Ruling,
        needs: &Needs,
    ) -> Result<Grounds, Refusal> {
        let yes = self.find_yes(asked.live, call.action(), call.digest(), &asked.facts).await?;
        let Some(yes) = yes else {
            return Err(self.ask_human(asked, call, id, &ruling, needs).await?);
        };
        let pdp = self.policies();
        let approved = Approved { by: vec![yes.by()], quorum: 1 };
        let besides = Besides { approved: Some(approved), ..Besides::first(asked) };
        let ruling = self.judge(&pdp, asked, call.action(), besides).await?;
        match ruling.verdict.clone() {
            Said::Permit => {
                self.spend_unless_held(&yes, asked).await?;
                Ok(Grounds { ruling, yes: Some(yes), points: Vec::new() })
            }
            Said::Need(needs) if !needs.approval() => {
                self.survive(asked, call, id, (ruling, needs), Some(yes)).await
            }
            Said::Need(_) | Said::Deny => Err(denied(&ruling)),
        }
    }

    async fn ask_human<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
        ruling: &Ruling,
        needs: &Needs,
    ) -> Result<Refusal, Refusal> {
        let canonical = call.canonical()?;
        let request = self
            .ask(Ask {
                live: asked.live,
                call: id,
                action: call.action(),
                digest: call.digest(),
                upstream: call.upstream(),
                facts: &asked.facts,
                obligations: self.obligations(call.action(), &asked.facts, needs),
                canonical: &canonical,
            })
            .await?;
        let mut refusal = Refusal::new(Code::ApprovalNeeded, ruling.because.clone());
        refusal.next_step = format!(
            "A human was asked (request {request}). Wait for the answer, then send the same call again; \
             do not look for another way to do the same"
        );
        refusal.request = Some(request);
        Ok(refusal)
    }

    /// Makes the call survivable: recovery points are taken, a deferral parks it.
    async fn survive<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
        (ruling, needs): (Ruling, Needs),
        yes: Option<Yes>,
    ) -> Result<Grounds, Refusal> {
        let obligations = self.obligations(call.action(), &asked.facts, &needs);
        let grace = obligations
            .iter()
            .filter_map(|obligation| match obligation {
                Obligation::Defer { grace_millis } => Some(*grace_millis),
                Obligation::RecoveryPoint { .. } => None,
            })
            .max();
        let due: Vec<PointDue> = obligations
            .iter()
            .filter_map(|obligation| match obligation {
                Obligation::RecoveryPoint { point, part } => {
                    Some(PointDue { part: *part, point: point.clone() })
                }
                Obligation::Defer { .. } => None,
            })
            .collect();
        let taken =
            self.take_points(asked.live, id, call.action(), &asked.facts, &due, asked.hands).await;
        let points = match taken {
            Ok(points) => points,
            Err(why) => {
                return Err(self.fall_to_human(asked, call, id, yes.as_ref(), &why).await?);
            }
        };
        if let Some(yes) = &yes {
            self.spend_unless_held(yes, asked).await?;
        }
        match grace {
            Some(grace_millis) => {
                Err(self.park(asked, call, id, grace_millis, yes.as_ref()).await?)
            }
            None => Ok(Grounds { ruling, yes, points }),
        }
    }

    /// An obligation failed: the means is gone, and the ladder is climbed again without it.
    async fn fall_to_human<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
        yes: Option<&Yes>,
        why: &str,
    ) -> Result<Refusal, Refusal> {
        let failed = || {
            Refusal::new(
                Code::ObligationFailed,
                format!("the recovery point could not be taken: {why}"),
            )
        };
        if yes.is_some() {
            return Ok(failed());
        }
        let pdp = self.policies();
        let besides = Besides { means: false, ..Besides::first(asked) };
        let ruling = self.judge(&pdp, asked, call.action(), besides).await?;
        match ruling.verdict.clone() {
            Said::Need(needs) if needs.approval() => {
                self.ask_human(asked, call, id, &ruling, &needs).await
            }
            Said::Need(_) | Said::Permit | Said::Deny => Ok(failed()),
        }
    }

    /// A parked call whose time has come: the facts must still fit, and the decision point is asked again.
    async fn rule_due<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        due: &Due,
    ) -> Result<Grounds, Refusal> {
        let parked = &due.pending;
        if parked.digest != call.digest() || parked.state != PendingState::Sending {
            return Err(Refusal::new(Code::ApprovalStale, "this is not the call that was parked"));
        }
        let fits = parked.facts.len() == asked.facts.len()
            && parked.facts.iter().zip(&asked.facts).all(|(a, b)| a.still_fits(b));
        if !fits {
            return Err(Refusal::new(
                Code::ApprovalStale,
                "what the call touches has changed since it was parked",
            ));
        }
        let approved = match parked.request.clone() {
            None => None,
            Some(request) => {
                let answer = self
                    .on_store(move |store| store.request(&request))
                    .await
                    .map_err(|error| store_refusal(&error))?
                    .answer;
                answer.map(|answer| Approved { by: vec![answer.by.to_string()], quorum: 1 })
            }
        };
        let pdp = self.policies();
        let besides =
            Besides { approved, survived: Some(Survivable::Deferred), ..Besides::first(asked) };
        let ruling = self.judge(&pdp, asked, call.action(), besides).await?;
        match &ruling.verdict {
            Said::Permit => Ok(Grounds { ruling, yes: None, points: Vec::new() }),
            // Points were taken when it was parked: they are not taken twice for one call.
            Said::Need(needs) if !needs.approval() => {
                Ok(Grounds { ruling, yes: None, points: Vec::new() })
            }
            Said::Need(_) | Said::Deny => Err(denied(&ruling)),
        }
    }

    async fn park<C: Call>(
        &self,
        asked: &Asked<'_>,
        call: &C,
        id: &CallId,
        grace_millis: u64,
        yes: Option<&Yes>,
    ) -> Result<Refusal, Refusal> {
        let canonical = call.canonical()?;
        if canonical.len() > Pending::CANONICAL_BYTES_MAX {
            return Err(Refusal::new(Code::BodyTooLarge, "the call is too large to be parked"));
        }
        let now = self.now();
        let pending = Pending {
            id: ids::pending_id()
                .map_err(|error| Refusal::new(Code::DecisionFailed, error.to_string()))?,
            call: id.clone(),
            principal: asked.live.principal.as_ref().clone(),
            action: call.action().clone(),
            digest: call.digest(),
            upstream: call.upstream().clone(),
            adapter: asked.adapter.to_owned(),
            facts: asked.facts.clone(),
            request: match yes {
                Some(Yes::Request(request)) => Some(request.id.clone()),
                Some(Yes::Grant(_)) | None => None,
            },
            state: PendingState::Waiting,
            parked: now,
            due: now.plus_millis(grace_millis),
        };
        let mut entry =
            Draft::new(Kind::Pending).of_shared(&asked.live.principal).of_action(call.action());
        entry.call = Some(id.clone());
        entry.upstream = Some(call.upstream().clone());
        entry.verdict = Some("pending".into());
        entry.environment = environments(&asked.facts);
        entry.details = serde_json::json!({
            "pending": pending.id, "due": pending.due, "digest": pending.digest,
            "request": pending.request, "facts": asked.facts,
        });
        // On the record before it is promised to the agent.
        self.record
            .append(entry, Durability::Durable)
            .await
            .map_err(|error| crate::gate::record_refusal(&error))?;
        let kept = pending.clone();
        self.on_store(move |store| store.pending_add(&kept, &canonical))
            .await
            .map_err(|error| store_refusal(&error))?;
        Ok(pending_refusal(&pending, now).with_call(id.clone()))
    }

    /// Asks the decision point about every part and object.
    pub(crate) async fn judge(
        &self,
        pdp: &Arc<Pdp>,
        asked: &Asked<'_>,
        action: &Action,
        besides: Besides,
    ) -> Result<Ruling, Refusal> {
        let break_glass = !action.effect().is_only_read()
            && self
                .has_broken_glass(&asked.live.principal.agent)
                .await
                .map_err(|error| store_refusal(&error))?;
        let damage = self.damage(asked, action).await?;
        let standing = Standing {
            damage_rows: damage.rows,
            damage_objects: damage.objects,
            approved: besides.approved,
            survived: besides.survived,
            break_glass,
            production_waiver: self.config.production_waiver,
            session_in_production: asked.session_in_production,
        };
        let means: Vec<Means> =
            action
                .parts()
                .iter()
                .map(|part| {
                    if besides.means { self.means_of(part, &asked.facts) } else { Means::default() }
                })
                .collect();
        Ok(pdp.judge_call(&CallCase {
            principal: &asked.live.principal,
            action,
            facts: &asked.facts,
            means: &means,
            standing: &standing,
        }))
    }

    /// Returns what the owner's agents destroyed lately where the call goes, and what it would add.
    async fn damage(&self, asked: &Asked<'_>, action: &Action) -> Result<Damage, Refusal> {
        let worst = action.parts().iter().map(|part| part.effect.word().level()).max();
        let rows = asked.facts.iter().any(|found| found.rows.is_some());
        if !rows || worst.is_some_and(|level| level < EffectWord::Destroy.level()) {
            return Ok(asked.damage);
        }
        let principal = &asked.live.principal;
        let since = UnixMillis(self.now().0.saturating_sub(DAMAGE_MILLIS));
        let before = self
            .destroyed_since(&principal.owner, &principal.environment, since)
            .await
            .map_err(|error| store_refusal(&error))?;
        Ok(Damage {
            rows: before.rows.saturating_add(asked.damage.rows),
            objects: before.objects.saturating_add(asked.damage.objects),
        })
    }

    fn obligations(
        &self,
        action: &Action,
        facts: &[ObjectFacts],
        needs: &Needs,
    ) -> Vec<Obligation> {
        let mut all = Vec::new();
        for (at, (part, ways)) in action.parts().iter().zip(&needs.survivable).enumerate() {
            for way in ways {
                let obligations: Vec<Obligation> = match way {
                    Survivable::RecoveryPoint => self
                        .points_of(part, facts)
                        .into_iter()
                        .map(|point| Obligation::RecoveryPoint { point, part: at })
                        .collect(),
                    Survivable::Deferred => part
                        .recovery
                        .defer_millis
                        .map(|millis| {
                            let grace_millis = self.config.grace_millis.unwrap_or(millis);
                            Obligation::Defer { grace_millis }
                        })
                        .into_iter()
                        .collect(),
                };
                for obligation in obligations {
                    if !all.contains(&obligation) {
                        all.push(obligation);
                    }
                }
            }
        }
        all
    }

    /// Returns the recovery points that make a part survivable: the pack's own, else snapshots of what lives on
    /// its objects.
    fn points_of(&self, part: &Part, facts: &[ObjectFacts]) -> Vec<String> {
        match &part.recovery.point {
            Some(point) => vec![point.clone()],
            None => self.snapshots_for(part, facts).iter().map(wholes::point_name).collect(),
        }
    }

    /// Returns which ways of survival a part has.
    pub(crate) fn means_of(&self, part: &Part, facts: &[ObjectFacts]) -> Means {
        Means {
            recovery_point: !self.points_of(part, facts).is_empty(),
            deferral: part.recovery.defer_millis.is_some(),
        }
    }

    fn entry<C: Call>(&self, asked: &Asked<'_>, call: &C, id: &CallId, grounds: &Grounds) -> Draft {
        let mut entry =
            Draft::new(Kind::Call).of_shared(&asked.live.principal).of_action(call.action());
        entry.call = Some(id.clone());
        entry.upstream = Some(call.upstream().clone());
        entry.verdict = Some("permit".into());
        // A plain read is not looked up, so nothing is said of where it goes.
        let looked_up = call.action().effect() != Effect::READ;
        entry.environment = looked_up.then(|| environments(&asked.facts)).flatten();
        entry.policies.clone_from(&grounds.ruling.policies);
        let policies = self.policies();
        let details = CallDetails {
            digest: call.digest(),
            facts: looked_up.then_some(&asked.facts),
            policy_version: policies.version(),
            request: match &grounds.yes {
                Some(Yes::Request(request)) => Some(request.id.as_str()),
                Some(Yes::Grant(grant)) => Some(&grant.id),
                None => asked
                    .ending
                    .and_then(|end| end.carried.iter().find_map(|yes| yes.request.as_deref())),
            },
            points: grounds
                .points
                .iter()
                .map(|point| point.id.as_str())
                .chain(asked.ending.and_then(|end| end.point))
                .collect(),
            pending: asked.due.map(|due| due.pending.id.as_str()),
        };
        entry.written = Some(details.written(call.action()));
        entry
    }
}

fn environments(facts: &[ObjectFacts]) -> Option<String> {
    let mut names: Vec<String> = facts.iter().map(|found| found.environment.to_string()).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

fn denied(ruling: &Ruling) -> Refusal {
    Refusal::new(ruling.reason.unwrap_or(Code::Forbidden), ruling.because.clone())
}

fn pending_refusal(pending: &Pending, now: UnixMillis) -> Refusal {
    let mut refusal = Refusal::new(
        Code::Pending,
        format!(
            "`{}` is accepted and waits for its grace period as {}",
            pending.action.headline(),
            pending.id
        ),
    );
    refusal.not_done = "nothing was sent to the upstream yet".into();
    let id: PendingId = pending.id.clone();
    refusal.next_step = format!(
        "Nothing more is needed: it is sent in {} unless a human cancels it",
        in_words(pending.due.since_millis(now))
    );
    refusal.pending = Some(id);
    refusal
}

/// Returns a span as people say it, rounded up to its two largest units.
fn in_words(millis: u64) -> String {
    let seconds = millis.div_ceil(1_000);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        assert_eq!(in_words(1), "1 s");
        assert_eq!(in_words(90_000), "1 min 30 s");
        assert_eq!(in_words(48 * 3_600_000), "2 d 0 h");
        assert_eq!(in_words(3_599_999), "1 h 0 min");
    }
}
