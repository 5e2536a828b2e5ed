//! The gateway's own calls over HTTP: looking objects up, taking recovery points.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use killick_gate::ports::BoxFuture;
use killick_gate::{ErrandKind, Hands, LiveSession, PointTaken, Resolve};
use killick_model::admin::Upstream;
use killick_model::{ObjectFacts, ObjectRef, Outcome};

use super::exchange::pack_of;
use super::{HttpAdapter, HttpCall, upstream};
use crate::judge::{self, CanonicalRequest};
use crate::resolve::{PointStep, PointTaking, Resolution};

/// Bytes of an errand's answer that are read.
const ERRAND_ANSWER_BYTES_MAX: usize = 4 << 20;

/// How long one errand may take.
const ERRAND_SECONDS_MAX: u64 = 20;

/// How long to wait before looking again for a recovery point.
const POINT_POLL_MILLIS: u64 = 500;

/// Runs errands at one upstream, on behalf of a session.
pub(super) struct Errands {
    adapter: Arc<HttpAdapter>,
    upstream: Arc<Upstream>,
    host: String,
}

impl Errands {
    pub(super) fn new(adapter: Arc<HttpAdapter>, upstream: Arc<Upstream>, host: String) -> Self {
        Self { adapter, upstream, host }
    }

    /// Judges, records and sends one errand; returns its answer.
    async fn run(
        &self,
        live: &LiveSession,
        kind: ErrandKind,
        request: &CanonicalRequest,
    ) -> Result<(u16, serde_json::Value), String> {
        let judged =
            judge::judge(&self.adapter.packs, &self.upstream, &request.view(&self.upstream))
                .map_err(|refusal| refusal.to_string())?;
        if let Some(message) = judged.invalid {
            return Err(format!("the pack's own document is not valid: {message}"));
        }
        let bare = request.path_and_query.split('?').next().unwrap_or_default();
        let bound = self.adapter.vault.bound(&self.upstream.name, bare).filter(|info| !info.own);
        let call = HttpCall {
            judged,
            upstream: Arc::clone(&self.upstream),
            host: self.host.clone(),
            kept: Vec::new(),
            inject: bound.is_some(),
        };
        let recorded = self
            .adapter
            .gate
            .errand(live, kind, call, bound.map(|info| info.name))
            .await
            .map_err(|refusal| refusal.to_string())?;
        let wait = Duration::from_secs(ERRAND_SECONDS_MAX);
        let answered = tokio::time::timeout(wait, async {
            let sent = upstream::send(&self.adapter, recorded)
                .await
                .map_err(|refusal| refusal.to_string())?;
            let status = sent.response.status().as_u16();
            let body = sent.response.into_body();
            let bytes = http_body_util::Limited::new(body, ERRAND_ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|_| "the answer broke off or is too large".to_owned())?
                .to_bytes();
            sent.in_flight.settle(Outcome::Answered {
                status,
                failed: status >= 400,
                bytes: bytes.len() as u64,
            });
            let value =
                serde_json::from_slice(&bytes).map_err(|_| "the answer is not JSON".to_owned())?;
            Ok((status, value))
        });
        answered.await.unwrap_or_else(|_| Err(format!("no answer within {ERRAND_SECONDS_MAX} s")))
    }
}

/// Sends the introspection query of a pack to the upstream that is declared with it.
pub(super) async fn introspect(
    adapter: &HttpAdapter,
    pack: &crate::pack::Pack,
) -> Result<serde_json::Value, String> {
    let adapter = adapter.shared().map_err(|refusal| refusal.to_string())?;
    let upstream = adapter
        .declared()
        .into_iter()
        .find(|upstream| upstream.pack.as_deref() == Some(pack.name.as_str()))
        .ok_or_else(|| format!("no upstream is declared with the pack `{}`", pack.name))?;
    let request = crate::resolve::document(pack, crate::pack::INTROSPECTION)
        .ok_or_else(|| format!("the pack `{}` names no path to ask at", pack.name))?;
    let host = upstream.hosts.first().cloned().unwrap_or_default();
    let errands = Errands::new(Arc::clone(&adapter), Arc::new(upstream), host);
    let live = gateway_itself(&adapter)?;
    let (status, answer) = errands.run(&live, ErrandKind::Resolve, &request).await?;
    if status == 200 { Ok(answer) } else { Err(format!("the provider answered with {status}")) }
}

/// The gateway's own session for errands that nobody's call asked for; it can be neither opened nor frozen.
fn gateway_itself(adapter: &HttpAdapter) -> Result<LiveSession, String> {
    let names = || -> Result<killick_model::Principal, killick_model::IdError> {
        let session = killick_model::SessionId::parse("s-gateway")?;
        Ok(killick_model::Principal {
            session: session.clone(),
            chain: vec![session],
            agent: killick_model::AgentName::parse("gateway")?,
            groups: std::collections::BTreeSet::new(),
            owner: killick_model::Owner { issuer: "killick".into(), subject: "gateway".into() },
            environment: killick_model::EnvironmentName::parse("none")?,
            task: "errands of the gateway".into(),
            scope: killick_model::Scope::full(),
            expires: killick_model::UnixMillis(u64::MAX),
            fence: true,
        })
    };
    let principal = names().map_err(|error| error.to_string())?;
    let lifeline = adapter.gate.standings().lifeline(&principal.agent, &principal.chain);
    Ok(LiveSession { principal: Arc::new(principal), lifeline })
}

impl Resolve for Errands {
    fn resolve<'a>(
        &'a self,
        live: &'a LiveSession,
        object: &'a ObjectRef,
    ) -> BoxFuture<'a, ObjectFacts> {
        Box::pin(async move {
            let Some(pack) = pack_of(&self.adapter, &self.upstream) else {
                return ObjectFacts::unresolved(object.clone());
            };
            let mut resolution = Resolution::start(pack, &self.upstream, object);
            while let Some(request) = resolution.next() {
                match self.run(live, ErrandKind::Resolve, &request).await {
                    Ok((status, value)) => resolution.answer(status, &value),
                    Err(because) => {
                        tracing::warn!(%because, object = %object.label(), "an errand failed");
                        resolution.failed();
                    }
                }
            }
            resolution.finish()
        })
    }
}

impl Hands for Errands {
    fn take_point<'a>(
        &'a self,
        live: &'a LiveSession,
        point: &'a str,
        facts: &'a ObjectFacts,
    ) -> BoxFuture<'a, Result<PointTaken, String>> {
        Box::pin(async move {
            let pack = pack_of(&self.adapter, &self.upstream)
                .ok_or_else(|| "the upstream has no pack".to_owned())?;
            let mut taking = PointTaking::start(pack, &self.upstream, point, facts);
            loop {
                let (kind, request) = match taking.next() {
                    PointStep::Read(request) => (ErrandKind::Resolve, request),
                    PointStep::ReadLater(request) => {
                        tokio::time::sleep(Duration::from_millis(POINT_POLL_MILLIS)).await;
                        (ErrandKind::Resolve, request)
                    }
                    PointStep::Write(request) => (ErrandKind::RecoveryPoint, request),
                    PointStep::Taken { ids, locked } => {
                        return Ok(PointTaken { id: ids.join(","), locked });
                    }
                    PointStep::Failed { because } => return Err(because),
                };
                match self.run(live, kind, &request).await {
                    Ok((status, value)) => taking.answer(status, &value),
                    Err(because) => {
                        tracing::warn!(%because, point, "taking a recovery point failed");
                        taking.failed();
                    }
                }
            }
        })
    }
}
