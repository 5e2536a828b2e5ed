//! Recovery points of the stage: one, and no place behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use killick_gate::points::{PointError, PointReader, PointWriter, Points};
use killick_gate::ports::BoxFuture;
use killick_model::point::{PointHead, PointInfo, PointKind};
use killick_model::rehearsal::{Rehearsals, Work};
use killick_model::{PointId, UpstreamName};
use parking_lot::Mutex;

use super::{NOW, name};
use crate::ports::Recovery;

#[derive(Default)]
struct Kept(Mutex<Vec<PointInfo>>);

pub(crate) struct FakeRecovery {
    kept: Arc<Kept>,
    rotations: AtomicU64,
    begun: Mutex<Vec<String>>,
}

impl FakeRecovery {
    pub(crate) fn with_one_point() -> Self {
        let info = PointInfo {
            head: PointHead {
                id: name("k-1"),
                kind: PointKind::Snapshot,
                upstream: name("main"),
                environment: name("staging"),
                taken: NOW,
                call: None,
                session: None,
            },
            parts: Vec::new(),
            expires: NOW.plus_millis(1),
            manifest: serde_json::Value::Null,
        };
        let kept = Arc::new(Kept(Mutex::new(vec![info])));
        Self { kept, rotations: AtomicU64::new(0), begun: Mutex::default() }
    }

    pub(crate) fn state(&self) -> String {
        let begun = self.begun.lock();
        format!("{:?} {} {begun:?}", self.kept.0.lock(), self.rotations.load(Ordering::SeqCst))
    }
}

impl Recovery for FakeRecovery {
    fn points(&self) -> Arc<dyn Points> {
        Arc::clone(&self.kept) as Arc<dyn Points>
    }

    fn rotate_key(&self) -> BoxFuture<'_, Result<usize, String>> {
        self.rotations.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(1) })
    }

    fn snapshot(&self, _: &UpstreamName, by: String) -> Result<(), String> {
        self.begun.lock().push(format!("snapshot by {by}"));
        Ok(())
    }

    fn rehearse<'a>(
        &'a self,
        _: &'a UpstreamName,
        by: String,
        _: Option<String>,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.begun.lock().push(format!("rehearsal by {by}"));
        Box::pin(async { Ok(()) })
    }

    fn restore<'a>(
        &'a self,
        _: &'a UpstreamName,
        _: &'a PointId,
        into: String,
        by: String,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.begun.lock().push(format!("restore into {into} by {by}"));
        Box::pin(async { Ok(()) })
    }

    fn work(&self, _: &UpstreamName) -> Option<Work> {
        Some(Work::Running { stage: "copying".into(), bytes: 0 })
    }

    fn rehearsals(&self) -> BoxFuture<'_, Result<Vec<Rehearsals>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn none<T: Send + 'static>() -> BoxFuture<'static, Result<T, PointError>> {
    Box::pin(async { Err(PointError::Failed("there is no place on the stage".into())) })
}

impl Points for Kept {
    fn place(&self) -> String {
        "stage".into()
    }
    fn begin(&self, _: PointHead) -> BoxFuture<'_, Result<Box<dyn PointWriter>, PointError>> {
        none()
    }
    fn find<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<PointInfo, PointError>> {
        let found = self.0.lock().iter().find(|info| info.head.id == *id).cloned();
        let found = found.ok_or_else(|| PointError::Missing(id.clone()));
        Box::pin(async move { found })
    }
    fn read<'a>(
        &'a self,
        _: &'a PointId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn PointReader>, PointError>> {
        none()
    }
    fn list<'a>(
        &'a self,
        _: Option<&'a UpstreamName>,
    ) -> BoxFuture<'a, Result<Vec<PointInfo>, PointError>> {
        let all = self.0.lock().clone();
        Box::pin(async move { Ok(all) })
    }
    fn remove<'a>(&'a self, id: &'a PointId) -> BoxFuture<'a, Result<(), PointError>> {
        self.0.lock().retain(|info| info.head.id != *id);
        Box::pin(async { Ok(()) })
    }
}
