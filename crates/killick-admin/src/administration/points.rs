//! Recovery points: listed, shown, removed. Removing one destroys what it could bring back.

use killick_gate::points::PointError;
use killick_model::record::{Draft, Kind};
use killick_model::{EffectWord, PointId, UpstreamName};
use serde_json::json;

use super::{Acting, Administration, Answered, done, plain_text};
use crate::protocol::{AdminCode, AdminError, Reply};

/// The longest name of a database that is made for a snapshot.
const NAME_BYTES_MAX: usize = 255;

impl Administration {
    pub(super) async fn point_list(&self, database: Option<UpstreamName>) -> Answered {
        let points = self.parts.recovery.points();
        let place = points.place();
        let points = points.list(database.as_ref()).await?;
        Ok(Reply::Points { place, points })
    }

    pub(super) async fn point_show(&self, id: PointId) -> Answered {
        let info = self.parts.recovery.points().find(&id).await?;
        Ok(Reply::Point(Box::new(info)))
    }

    pub(super) async fn point_remove(&self, by: &Acting<'_>, id: PointId) -> Answered {
        let points = self.parts.recovery.points();
        let info = points.find(&id).await?;
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(info.head.upstream.clone());
        entry.environment = Some(info.head.environment.to_string());
        entry.effect = Some(EffectWord::Destroy);
        entry.call.clone_from(&info.head.call);
        let details = json!({
            "point": id, "kind": info.head.kind, "taken": info.head.taken, "bytes": info.bytes(),
        });
        self.on_record_as(by, entry, "point remove", details).await?;
        points.remove(&id).await?;
        Ok(done(format!(
            "recovery point {id} of `{}` is removed; what it kept cannot be brought back",
            info.head.upstream
        )))
    }
}

/// Snapshots and rehearsals: begun here, carried out beside.
impl Administration {
    pub(super) async fn snapshot_begin(&self, by: &Acting<'_>, database: UpstreamName) -> Answered {
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(database.clone());
        self.on_record_as(by, entry, "snapshot", json!({ "database": database })).await?;
        let human = by.caller.owner.to_string();
        self.parts.recovery.snapshot(&database, human).map_err(|why| not_begun(&why))?;
        self.work_show(&database)
    }

    pub(super) async fn rehearse_begin(
        &self,
        by: &Acting<'_>,
        database: UpstreamName,
        assertions: Option<String>,
    ) -> Answered {
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(database.clone());
        let details = json!({ "database": database, "own_assertions": assertions.is_some() });
        self.on_record_as(by, entry, "rehearse", details).await?;
        let human = by.caller.owner.to_string();
        self.parts
            .recovery
            .rehearse(&database, human, assertions)
            .await
            .map_err(|why| not_begun(&why))?;
        self.work_show(&database)
    }

    pub(super) async fn restore_begin(
        &self,
        by: &Acting<'_>,
        database: UpstreamName,
        point: PointId,
        into: String,
    ) -> Answered {
        plain_text("the database's name", &into, NAME_BYTES_MAX)?;
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(database.clone());
        let details = json!({ "database": database, "point": point, "into": into });
        self.on_record_as(by, entry, "restore", details).await?;
        let human = by.caller.owner.to_string();
        let begun = self.parts.recovery.restore(&database, &point, into, human).await;
        begun.map_err(|why| not_begun(&why))?;
        self.work_show(&database)
    }

    pub(super) fn work_show(&self, database: &UpstreamName) -> Answered {
        match self.parts.recovery.work(database) {
            Some(work) => Ok(Reply::Work(work)),
            None => Err(AdminError::missing(
                format!("snapshot or rehearsal of `{database}` since the gateway started"),
                "begin one with `killick snapshot` or `killick rehearse`",
            )),
        }
    }

    pub(super) async fn rehearsal_list(&self) -> Answered {
        let all = self.parts.recovery.rehearsals().await.map_err(|why| {
            AdminError::new(AdminCode::StoreUnavailable, why, "run `killick doctor`")
        })?;
        Ok(Reply::Rehearsals(all))
    }
}

fn not_begun(why: &str) -> AdminError {
    AdminError::new(
        AdminCode::Invalid,
        format!("{why}; nothing was begun"),
        "look at `killick database list` and `killick point list`",
    )
}

impl From<PointError> for AdminError {
    fn from(error: PointError) -> Self {
        match &error {
            PointError::Missing(_) => {
                Self::new(AdminCode::Missing, error.to_string(), "look at `killick point list`")
            }
            PointError::Shut(_) => Self::new(
                AdminCode::Unavailable,
                error.to_string(),
                "bring back recovery.key from your backup if it was lost; else the point was tampered with",
            ),
            PointError::Failed(_) | PointError::Large { .. } => Self::new(
                AdminCode::Unavailable,
                error.to_string(),
                "look at [recovery] in killick.toml, and at the place itself",
            ),
        }
    }
}
