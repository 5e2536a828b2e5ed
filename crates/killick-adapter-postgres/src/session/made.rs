//! Tables that a session made: it may unmake them again.
//!
//! A name says nothing: it can be given anew, and other things than tables have names too. What a transaction claims to
//! have made is looked up by its number, and counts where the connection beside, which sees what was there before, does
//! not see it.

use killick_model::{ObjectRef, UpstreamName};

use super::engine::Session;
use super::images::{literal, quoted};
use super::server::ServerError;

impl Session {
    /// Remembers that a table is said to be made in the open transaction.
    pub(crate) fn note_made(&mut self, name: &str) {
        let catalogue = self.known.catalogue();
        let (schema, table) = match (name.split_once('.'), catalogue.search_path.first()) {
            (Some((schema, table)), _) => (schema.to_owned(), table.to_owned()),
            (None, Some(schema)) => (schema.clone(), name.to_owned()),
            (None, None) => return,
        };
        self.work.claims.insert((schema, table));
    }

    /// Finds out which of the claimed tables were not there before the transaction. Without an answer none was made.
    pub(crate) async fn verify_made(&mut self) -> Result<(), ServerError> {
        if self.work.claims.is_empty() {
            return Ok(());
        }
        let claims = std::mem::take(&mut self.work.claims);
        let asked: Vec<String> = claims
            .iter()
            .map(|(schema, table)| {
                let name = literal(&format!("{}.{}", quoted(schema), quoted(table)));
                format!("SELECT pg_catalog.to_regclass({name}::pg_catalog.text)::pg_catalog.oid::pg_catalog.int8")
            })
            .collect();
        let found = self.server.own(&self.departure, &asked.join(" UNION ALL ")).await?;
        let numbers: Vec<u32> = found
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten()?.parse().ok())
            .collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let Ok(mut own) = self.adapter.lend_own(&self.database).await else { return Ok(()) };
        let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let before = own
            .ask(&format!(
                "SELECT oid::int8 FROM pg_catalog.pg_class WHERE oid = ANY ('{{{}}}'::oid[])",
                list.join(",")
            ))
            .await;
        self.adapter.give_back(&self.database, own, before.is_ok());
        let Ok(before) = before else { return Ok(()) };
        let before: Vec<u32> = before
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten()?.parse().ok())
            .collect();
        self.work.made.extend(numbers.into_iter().filter(|it| !before.contains(it)));
        Ok(())
    }

    /// Returns whether this very session made a table, in the open transaction or in one before.
    pub(crate) async fn made_here(&mut self, oid: u32) -> bool {
        // A server that does not answer fails the statement itself; until then nothing was made.
        if self.verify_made().await.is_ok() && self.work.made.contains(&oid) {
            return true;
        }
        let object = made_ref(&self.database.name, oid);
        self.adapter.gate.created_by(&self.live, &object).await
    }

    /// Books what a committed transaction made.
    pub(crate) async fn book_commit(&mut self) {
        let made = self.work.made.iter().map(|oid| made_ref(&self.database.name, *oid)).collect();
        self.adapter.gate.note_created(&self.live.principal.session, made).await;
    }
}

/// Returns the name under which the gateway remembers a table that a session made: its number.
fn made_ref(upstream: &UpstreamName, oid: u32) -> ObjectRef {
    ObjectRef {
        upstream: upstream.clone(),
        kind: "relation-number".into(),
        id: oid.to_string(),
        within: None,
    }
}
