//! What administration changes in the rest of the gateway, and what it asks of the adapters.

use std::net::SocketAddr;
use std::sync::Arc;

use killick_adapter_http::driver::{Assume, HttpAdapter};
use killick_admin::ports::{PackInfo, Reconfigure};
use killick_gate::Gate;
use killick_gate::ports::BoxFuture;
use killick_model::admin::Upstream;
use killick_model::database::Database;
use killick_model::explain::Explanation;
use killick_model::point::{UndoAsk, UndoReport};
use killick_model::readiness::{PrepareAsk, Prepared};
use killick_model::{EnvironmentName, Principal, Refusal, SessionId};
use killick_policy::ActionCatalogue;
use zeroize::Zeroizing;

use crate::adapters;

/// The running gateway as administration sees it.
pub(crate) struct Rest {
    http: Arc<HttpAdapter>,
    databases: Arc<adapters::Databases>,
    /// Where agents reach databases.
    listens: SocketAddr,
    /// The file with the roots that agents trust.
    roots: String,
    gate: Arc<Gate>,
}

impl Rest {
    /// Builds it over the running adapter.
    pub(crate) fn new(
        http: Arc<HttpAdapter>,
        databases: Arc<adapters::Databases>,
        listens: SocketAddr,
        roots: String,
        gate: Arc<Gate>,
    ) -> Self {
        Self { http, databases, listens, roots, gate }
    }
}

impl Reconfigure for Rest {
    fn upstreams_changed(&self, upstreams: Vec<Upstream>) {
        self.http.declare(upstreams);
    }

    fn databases_changed(&self, databases: Vec<Database>) {
        self.databases.replace_databases(databases);
    }

    fn database_address(
        &self,
        session: &SessionId,
        token: &str,
        database: &Database,
    ) -> Zeroizing<String> {
        adapters::database_address(self.listens, &self.roots, session, token, database)
    }

    fn database_prepare<'a>(
        &'a self,
        database: &'a Database,
        ask: &'a PrepareAsk,
        by: String,
    ) -> BoxFuture<'a, Result<Prepared, String>> {
        Box::pin(adapters::prepare_database(&self.databases, database, ask, by))
    }

    fn database_catalogue<'a>(
        &'a self,
        database: &'a Database,
        by: String,
    ) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(self.databases.catalogue_answers(database, Some(by)))
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

    fn undo<'a>(
        &'a self,
        ask: &'a UndoAsk,
        by: String,
    ) -> BoxFuture<'a, Result<UndoReport, Refusal>> {
        Box::pin(self.databases.undo(ask, by))
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
