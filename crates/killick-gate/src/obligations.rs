//! What must be done before a permit counts, one by one. One that fails falls to the human rung.

use killick_model::record::{Draft, Kind};
use killick_model::{Action, CallId, ObjectFacts};

use crate::gate::Gate;
use crate::ports::{BoxFuture, Durability};
use crate::sessions::LiveSession;

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
                let result = hands.take_point(live, &point.point, found).await;
                let mut entry = Draft::new(Kind::Obligation).of_principal(&live.principal);
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
}
