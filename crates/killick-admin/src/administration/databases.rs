//! Databases: declared with their password, listed, taken back.

use std::sync::Arc;

use killick_gate::Blocking as _;
use killick_gate::ports::StoreError;
use killick_model::admin::{CredentialInfo, Injection};
use killick_model::database::Database;
use killick_model::readiness::PrepareAsk;
use killick_model::record::{Draft, Kind};
use killick_model::{CredentialName, UpstreamName};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Acting, Administration, Answered, done, off_loop};
use crate::protocol::{AdminCode, AdminError, DatabaseAsk, Reply};

/// The longest name of a host, a database, a user or a role.
const NAME_BYTES_MAX: usize = 255;

impl Administration {
    pub(super) async fn database_add(&self, by: &Acting<'_>, ask: DatabaseAsk) -> Answered {
        for (what, text) in [
            ("the host", Some(&ask.host)),
            ("the database", Some(&ask.database)),
            ("the user", Some(&ask.user)),
            ("the role", ask.role.as_ref()),
            ("the role for reading", ask.read_role.as_ref()),
        ] {
            if text.is_some_and(|it| {
                it.is_empty() || it.len() > NAME_BYTES_MAX || it.chars().any(char::is_control)
            }) {
                return Err(AdminError::invalid(
                    format!("{what} is empty, too long, or holds control characters"),
                    "look at the address again",
                ));
            }
        }
        let gate = &self.parts.gate;
        let (databases, upstreams) =
            gate.on_store(|store| Ok((store.databases()?, store.upstreams()?))).await?;
        let former = databases.iter().find(|it| it.name == ask.name);
        let taken = upstreams.iter().any(|it| it.name == ask.name);
        if taken || (former.is_some() && !ask.replace) {
            return Err(AdminError::new(
                AdminCode::Exists,
                format!("`{}` exists already; nothing was changed", ask.name),
                "choose another name, or add --replace to change a database",
            ));
        }
        if let Some(object) = &ask.lives_on
            && !upstreams.iter().any(|it| it.name == object.upstream)
        {
            return Err(AdminError::missing(
                format!("upstream `{}` for the database to live on", object.upstream),
                "declare the upstream first with `killick upstream add`",
            ));
        }
        let password = Zeroizing::new(ask.password.expose().as_bytes().to_vec());
        let database = Database {
            name: ask.name,
            host: ask.host,
            port: ask.port,
            database: ask.database,
            user: ask.user,
            tls: ask.tls,
            private_address: ask.private_address,
            environment: ask.environment,
            role: ask.role,
            read_role: ask.read_role,
            limits: ask.limits,
            lives_on: ask.lives_on,
            added: gate.now(),
        };
        let info = CredentialInfo {
            name: credential_of(&database.name)?,
            upstream: database.name.clone(),
            path_prefix: "/".into(),
            injection: Injection::Password,
            surrogate: "opaque".into(),
            own: false,
            added: gate.now(),
            rotated: None,
        };
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(database.name.clone());
        entry.credential = Some(info.name.clone());
        let details = json!({ "database": database, "former": former });
        self.on_record_as(by, entry, "database add", details).await?;
        let message = format!(
            "database `{}` is declared in {}; `killick session open` prints its address",
            database.name, database.environment
        );
        let vault = Arc::clone(&self.parts.vault);
        off_loop(move || Ok(vault.credential_put(&info, password)?)).await?;
        gate.on_store(move |store| store.database_put(&database)).await?;
        self.tell_databases().await?;
        Ok(done(message))
    }

    pub(super) async fn database_list(&self) -> Answered {
        Ok(Reply::Databases(self.parts.gate.on_store(|store| store.databases()).await?))
    }

    /// Asks the server over a connection of the gateway's own, which is on the record by itself.
    pub(super) async fn database_prepare(
        &self,
        by: &Acting<'_>,
        name: UpstreamName,
        ask: &PrepareAsk,
    ) -> Answered {
        let database = self.declared(&name).await?;
        let owner = by.caller.owner.to_string();
        let prepared = self.parts.rest.database_prepare(&database, ask, owner).await;
        prepared
            .map(|it| Reply::DatabasePrepared(Box::new(it)))
            .map_err(|why| not_looked_at(&name, &why))
    }

    /// Asks the server over a connection of the gateway's own, which is on the record by itself.
    pub(super) async fn database_catalogue(&self, by: &Acting<'_>, name: UpstreamName) -> Answered {
        let database = self.declared(&name).await?;
        let owner = by.caller.owner.to_string();
        let answers = self
            .parts
            .rest
            .database_catalogue(&database, owner)
            .await
            .map_err(|why| not_looked_at(&name, &why))?;
        Ok(Reply::DatabaseCatalogue { environment: database.environment, answers })
    }

    async fn declared(&self, name: &UpstreamName) -> Result<Database, AdminError> {
        let databases = self.parts.gate.on_store(|store| store.databases()).await?;
        databases
            .into_iter()
            .find(|it| it.name == *name)
            .ok_or_else(|| StoreError::Missing(format!("database {name}")).into())
    }

    pub(super) async fn database_remove(&self, by: &Acting<'_>, name: UpstreamName) -> Answered {
        let databases = self.parts.gate.on_store(|store| store.databases()).await?;
        if !databases.iter().any(|it| it.name == name) {
            return Err(StoreError::Missing(format!("database {name}")).into());
        }
        let mut entry = Draft::new(Kind::Configuration);
        entry.upstream = Some(name.clone());
        self.on_record_as(by, entry, "database remove", json!({ "database": name })).await?;
        let (gone, credential) = (name.clone(), credential_of(&name)?);
        let vault = Arc::clone(&self.parts.vault);
        // The password goes first: were it left behind without its database, nobody could ask for it to go. When the
        // second step fails, the command can be given again.
        off_loop(move || {
            let there = vault.credentials()?.iter().any(|it| it.name == credential);
            if there {
                vault.credential_remove(&credential)?;
            }
            Ok(())
        })
        .await?;
        self.parts.gate.on_store(move |store| store.database_remove(&gone)).await?;
        self.tell_databases().await?;
        Ok(done(format!("database `{name}` is removed, and its password with it")))
    }

    async fn tell_databases(&self) -> Result<(), AdminError> {
        let databases = self.parts.gate.on_store(|store| store.databases()).await?;
        self.parts.rest.databases_changed(databases);
        Ok(())
    }
}

fn not_looked_at(name: &UpstreamName, why: &str) -> AdminError {
    AdminError::new(
        AdminCode::Unavailable,
        format!("database `{name}` could not be looked at: {why}"),
        "look at its address and password: `killick database list`",
    )
}

/// Returns the name under which the vault keeps a database's password.
fn credential_of(name: &UpstreamName) -> Result<CredentialName, AdminError> {
    CredentialName::parse(&format!("database.{name}")).map_err(|_| {
        AdminError::invalid(
            format!("`{name}` is too long a name for a database"),
            "choose a shorter one",
        )
    })
}
