//! What administration changes in the rest of the gateway, and what it asks of the adapters.

use std::sync::Arc;

use killick_adapter_http::driver::{Assume, HttpAdapter};
use killick_admin::ports::{PackInfo, Reconfigure};
use killick_gate::Gate;
use killick_gate::ports::BoxFuture;
use killick_model::admin::Upstream;
use killick_model::explain::Explanation;
use killick_model::{EnvironmentName, Principal};
use killick_policy::ActionCatalogue;

use crate::adapters;

/// The running gateway as administration sees it.
pub(crate) struct Rest {
    http: Arc<HttpAdapter>,
    gate: Arc<Gate>,
}

impl Rest {
    /// Builds it over the running adapter.
    pub(crate) fn new(http: Arc<HttpAdapter>, gate: Arc<Gate>) -> Self {
        Self { http, gate }
    }
}

impl Reconfigure for Rest {
    fn upstreams_changed(&self, upstreams: Vec<Upstream>) {
        self.http.declare(upstreams);
    }

    fn action_catalogue(&self) -> ActionCatalogue {
        adapters::catalogue(self.http.packs())
    }

    fn packs(&self) -> Vec<PackInfo> {
        adapters::pack_infos(self.http.packs())
    }

    fn pack_drift<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let pack =
                self.http.packs().get(name).ok_or_else(|| format!("there is no pack `{name}`"))?;
            let answer = self.http.introspect(pack).await?;
            adapters::drift(pack, &answer)
        })
    }

    fn explain(
        &self,
        line: &serde_json::Value,
        principal: Option<&Principal>,
    ) -> Option<Explanation> {
        let nobody = match principal {
            Some(known) => known.clone(),
            None => adapters::nobody("explain", &EnvironmentName::parse("staging").ok()?).ok()?,
        };
        let assume =
            Assume { environment: None, production_waiver: self.gate.config().production_waiver };
        let upstreams = self.http.declared();
        let pdp = self.gate.policies();
        adapters::explain(self.http.packs(), &pdp, &upstreams, assume, &nobody, line)
    }
}
