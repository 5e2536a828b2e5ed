//! What must be done before a permit counts, one by one. One that fails falls to the human rung.

use killick_model::record::{Draft, Kind};
use killick_model::{Action, CallId, ObjectFacts, UpstreamName};

use crate::gate::Gate;
use crate::ports::{BoxFuture, Durability};
use crate::sessions::LiveSession;
use crate::wholes::{self, Progress, SnapshotAsk};

/// A recovery point that exists at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointTaken {
    /// Its id at the provider.
    pub id: String,
    /// Whether it is locked against expiry.
    pub locked: bool,
}

/// The hands that carry out obligations for one protocol, through errands.
pub trait Hands: Send + Sync {
    /// Takes a recovery point of an object; confirmed by the provider before it returns.
    ///
    /// The error says in one sentence what failed.
    fn take_point<'a>(
        &'a self,
        live: &'a LiveSession,
        point: &'a str,
        facts: &'a ObjectFacts,
    ) -> BoxFuture<'a, Result<PointTaken, String>>;

    /// Returns whether nothing of the call lasts before another one, that ends its transaction, is decided on with the
    /// yes that this one carries: the yes is spent there, and not on what is rolled back.
    fn spends_at_end(&self) -> bool {
        false
    }
}

/// One recovery point to take: which part, which point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PointDue {
    pub(crate) part: usize,
    pub(crate) point: String,
}

impl Gate {
    /// Takes every recovery point and writes each on the record; stops at the first that fails.
    pub(crate) async fn take_points(
        &self,
        live: &LiveSession,
        call: &CallId,
        action: &Action,
        facts: &[ObjectFacts],
        due: &[PointDue],
        hands: &dyn Hands,
    ) -> Result<Vec<PointTaken>, String> {
        let mut taken = Vec::new();
        for point in due {
            let objects = action.parts().get(point.part).map_or(&[][..], |part| &part.objects);
            for object in objects {
                let Some(found) = facts.iter().find(|found| found.object == *object) else {
                    return Err(format!("nothing is known about {}", object.label()));
                };
                let result = match wholes::snapshot_of(&point.point) {
                    // One copy of each, however many objects the part has.
                    Some(name) if !self.lives_on(&name, object) => continue,
                    Some(name) => self.snapshot_first(live, call, &name).await,
                    None => hands.take_point(live, &point.point, found).await,
                };
                let mut entry = Draft::new(Kind::Obligation).of_shared(&live.principal);
                entry.call = Some(call.clone());
                entry.operation = Some(point.point.clone());
                entry.outcome = Some(if result.is_ok() { "taken" } else { "failed" }.into());
                entry.details = match &result {
                    Ok(point) => serde_json::json!({
                        "object": object.label(), "point": point.id, "locked": point.locked,
                    }),
                    Err(why) => serde_json::json!({ "object": object.label(), "why": why }),
                };
                self.record
                    .append(entry, Durability::Durable)
                    .await
                    .map_err(|error| error.to_string())?;
                taken.push(result?);
            }
        }
        Ok(taken)
    }

    /// Copies what lives on an object, whole and off-site, before the object goes.
    async fn snapshot_first(
        &self,
        live: &LiveSession,
        call: &CallId,
        name: &UpstreamName,
    ) -> Result<PointTaken, String> {
        let wholes = self.wholes.get().ok_or("nothing is known that could be copied whole")?;
        let ask = SnapshotAsk {
            by: None,
            call: Some(call.clone()),
            session: Some(live.principal.session.clone()),
        };
        let info = wholes.snapshot(name, ask, &Progress::default()).await?;
        // It lies outside of whatever the call destroys, and expires by the gateway's own rule alone.
        Ok(PointTaken { id: info.head.id.to_string(), locked: false })
    }
}
