//! Snapshots and rehearsals: on demand and on schedule, one at a time for each upstream, each on the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use killick_gate::points::Points;
use killick_gate::wholes::{Progress, SnapshotAsk, Wholes};
use killick_gate::{Blocking as _, Gate};
use killick_model::point::{PointInfo, PointKind};
use killick_model::record::{Draft, Kind};
use killick_model::rehearsal::{Rehearsal, Rehearsals, Work};
use killick_model::{PointId, UnixMillis, UpstreamName};
use parking_lot::Mutex;

/// How often it is looked for snapshots that are due.
pub const SCHEDULE_SECONDS: u64 = 60;
/// How long a schedule waits after a snapshot that failed, unless the schedule itself is shorter.
pub const RETRY_MILLIS: u64 = 15 * 60_000;

/// What was asked for, of one upstream.
struct Job {
    progress: Arc<Progress>,
    ended: Option<Work>,
}

/// Takes snapshots and rehearses them.
pub struct Works {
    gate: Arc<Gate>,
    wholes: Arc<dyn Wholes>,
    points: Arc<dyn Points>,
    /// How often every upstream that can be is copied whole; never by itself when absent.
    every_millis: Option<u64>,
    jobs: Mutex<BTreeMap<UpstreamName, Job>>,
    attempts: Mutex<BTreeMap<UpstreamName, UnixMillis>>,
}

impl Works {
    /// Builds it.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        wholes: Arc<dyn Wholes>,
        points: Arc<dyn Points>,
        every_millis: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            gate,
            wholes,
            points,
            every_millis,
            jobs: Mutex::default(),
            attempts: Mutex::default(),
        })
    }

    /// Begins to take a snapshot.
    ///
    /// # Errors
    /// There is no such upstream, or something is being done with it already.
    pub fn snapshot(
        self: &Arc<Self>,
        name: &UpstreamName,
        by: Option<String>,
    ) -> Result<(), String> {
        let progress = self.begin(name)?;
        let (this, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move {
            let ask = SnapshotAsk { by: by.clone(), ..SnapshotAsk::default() };
            let taken = this.wholes.snapshot(&name, ask, &progress).await;
            let taken = this.note_taken(&name, by, taken).await;
            this.end(
                &name,
                match taken {
                    Ok(point) => Work::Taken { point: Box::new(point) },
                    Err(why) => Work::Failed { why },
                },
            );
        });
        Ok(())
    }

    /// Begins to rehearse the latest snapshot.
    ///
    /// # Errors
    /// There is no such upstream, it has no snapshot, or something is being done with it already.
    pub async fn rehearse(
        self: &Arc<Self>,
        name: &UpstreamName,
        by: Option<String>,
        assertions: String,
    ) -> Result<(), String> {
        let latest = self.latest(name).await?.ok_or_else(|| {
            format!("there is no snapshot of `{name}`; take one with `killick snapshot {name}`")
        })?;
        let progress = self.begin(name)?;
        let (this, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move {
            let rehearsed = this.wholes.rehearse(&latest, by.clone(), &assertions, &progress).await;
            let rehearsed = this.note_rehearsed(&name, by, rehearsed).await;
            this.end(
                &name,
                match rehearsed {
                    Ok(rehearsal) => Work::Rehearsed { rehearsal: Box::new(rehearsal) },
                    Err(why) => Work::Failed { why },
                },
            );
        });
        Ok(())
    }

    /// Begins to restore a snapshot beside what it was taken of.
    ///
    /// # Errors
    /// There is no such snapshot of this upstream, or something is being done with it already.
    pub async fn restore(
        self: &Arc<Self>,
        name: &UpstreamName,
        point: &PointId,
        into: String,
        by: Option<String>,
    ) -> Result<(), String> {
        let found = self.points.find(point).await.map_err(|error| error.to_string())?;
        if found.head.upstream != *name {
            return Err(format!("{point} is a recovery point of `{}`", found.head.upstream));
        }
        let progress = self.begin(name)?;
        let (this, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move {
            let restored = this.wholes.restore(&found, &into, by.clone(), &progress).await;
            let (outcome, details) = match &restored {
                Ok(it) if it.wrong.is_empty() => {
                    ("restored", serde_json::json!({ "restored": it }))
                }
                Ok(it) => ("failed", serde_json::json!({ "restored": it })),
                Err(why) => ("failed", serde_json::json!({ "into": into, "why": why })),
            };
            let noted = this.note(&name, by, ("restore", outcome), details).await;
            let restored = noted.and(restored);
            this.end(
                &name,
                match restored {
                    Ok(restored) => Work::Restored { restored: Box::new(restored) },
                    Err(why) => Work::Failed { why },
                },
            );
        });
        Ok(())
    }

    /// Says how what was asked for last of an upstream stands.
    #[must_use]
    pub fn work(&self, name: &UpstreamName) -> Option<Work> {
        let jobs = self.jobs.lock();
        let job = jobs.get(name)?;
        Some(job.ended.clone().unwrap_or_else(|| {
            let (stage, bytes) = job.progress.now();
            Work::Running { stage: stage.as_str().into(), bytes }
        }))
    }

    /// Returns what is remembered of rehearsals.
    ///
    /// # Errors
    /// The store fails.
    pub async fn rehearsals(&self) -> Result<Vec<Rehearsals>, String> {
        let names = self.wholes.names();
        let read = self.gate.on_store(move |store| {
            names.iter().map(|name| store.setting(&setting(name))).collect::<Result<Vec<_>, _>>()
        });
        let texts = read.await.map_err(|error| error.to_string())?;
        texts
            .into_iter()
            .flatten()
            .map(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
            .collect()
    }

    /// Takes snapshots as they fall due, until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let Some(every) = self.every_millis else { return };
        let mut tick = tokio::time::interval(Duration::from_secs(SCHEDULE_SECONDS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for name in self.wholes.names() {
                if let Err(why) = self.if_due(&name, every).await {
                    tracing::error!(why, upstream = %name, "a snapshot that is due was not begun");
                }
            }
        }
    }

    /// Begins a snapshot when the last one is older than the schedule.
    async fn if_due(self: &Arc<Self>, name: &UpstreamName, every: u64) -> Result<(), String> {
        let now = self.gate.now();
        let attempt = self.attempts.lock().get(name).copied();
        let rest = every.min(RETRY_MILLIS);
        if attempt.is_some_and(|at| now.since_millis(at) < rest) {
            return Ok(());
        }
        let latest = self.latest(name).await?;
        if latest.is_some_and(|info| now.since_millis(info.head.taken) < every) {
            return Ok(());
        }
        self.attempts.lock().insert(name.clone(), now);
        self.snapshot(name, None)
    }

    async fn latest(&self, name: &UpstreamName) -> Result<Option<PointInfo>, String> {
        let all = self.points.list(Some(name)).await.map_err(|error| error.to_string())?;
        Ok(all.into_iter().find(|info| info.head.kind == PointKind::Snapshot))
    }

    fn begin(&self, name: &UpstreamName) -> Result<Arc<Progress>, String> {
        let names = self.wholes.names();
        if !names.contains(name) {
            return Err(format!("no database `{name}` is declared"));
        }
        let mut jobs = self.jobs.lock();
        // What was removed meanwhile is forgotten, so that the table does not outgrow what is declared.
        jobs.retain(|it, job| names.contains(it) || job.ended.is_none());
        if jobs.get(name).is_some_and(|job| job.ended.is_none()) {
            return Err(format!("a snapshot or rehearsal of `{name}` goes on already"));
        }
        let progress = Arc::new(Progress::default());
        jobs.insert(name.clone(), Job { progress: Arc::clone(&progress), ended: None });
        Ok(progress)
    }

    fn end(&self, name: &UpstreamName, work: Work) {
        if let Some(job) = self.jobs.lock().get_mut(name) {
            job.ended = Some(work);
        }
    }

    async fn note_taken(
        &self,
        name: &UpstreamName,
        by: Option<String>,
        taken: Result<PointInfo, String>,
    ) -> Result<PointInfo, String> {
        let details = match &taken {
            Ok(info) => serde_json::json!({
                "point": info.head.id, "bytes": info.bytes(), "expires": info.expires,
                "place": self.points.place(),
            }),
            Err(why) => serde_json::json!({ "why": why }),
        };
        let outcome = if taken.is_ok() { "taken" } else { "failed" };
        self.note(name, by, ("snapshot", outcome), details).await?;
        taken
    }

    async fn note_rehearsed(
        &self,
        name: &UpstreamName,
        by: Option<String>,
        rehearsed: Result<Rehearsal, String>,
    ) -> Result<Rehearsal, String> {
        let (outcome, details) = match &rehearsed {
            Ok(it) if it.passed() => ("passed", serde_json::json!({ "rehearsal": it })),
            Ok(it) => ("failed", serde_json::json!({ "rehearsal": it })),
            Err(why) => ("failed", serde_json::json!({ "why": why })),
        };
        self.note(name, by, ("rehearse", outcome), details).await?;
        let rehearsal = rehearsed?;
        let (key, kept) = (setting(name), rehearsal.clone());
        self.gate
            .on_store(move |store| {
                let before = store.setting(&key)?;
                let mut both: Rehearsals =
                    before.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                if kept.passed() {
                    both.passed = Some(kept.clone());
                }
                both.last = Some(kept);
                let text = serde_json::to_string(&both)
                    .map_err(|error| killick_gate::ports::StoreError::Failed(error.to_string()))?;
                store.setting_put(&key, &text)
            })
            .await
            .map_err(|error| error.to_string())?;
        Ok(rehearsal)
    }

    async fn note(
        &self,
        name: &UpstreamName,
        by: Option<String>,
        (operation, outcome): (&str, &str),
        details: serde_json::Value,
    ) -> Result<(), String> {
        let mut entry = Draft::new(Kind::Errand);
        entry.by = by;
        entry.operation = Some(operation.into());
        entry.upstream = Some(name.clone());
        entry.outcome = Some(outcome.into());
        entry.details = details;
        self.gate.note(entry).await.map_err(|error| error.to_string())
    }
}

/// The setting under which an upstream's rehearsals are remembered.
fn setting(name: &UpstreamName) -> String {
    format!("rehearsal.{name}")
}
