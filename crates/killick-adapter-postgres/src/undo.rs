//! Putting back what a transaction destroyed, from its recovery point, in one transaction.
//!
//! Each row that was kept is compared with the row that is there: [`plan`] says what happens to it, [`apply`] does it.
//! A row that somebody edited since is not overwritten unless that very row is named.

use std::sync::Arc;

use killick_gate::ErrandKind;
use killick_gate::points::{PointError, Points};
use killick_model::database::Database;
use killick_model::point::{PointInfo, PointKind, UndoAsk, UndoReport, WhenEdited};
use killick_model::record::{Draft, Kind};
use killick_model::{Code, Effect, Facet, Refusal};

use crate::session::adapter::PostgresAdapter;
use crate::session::images::{IMAGES_VERSION, Images, TableImages};
use crate::session::own::{Own, Purpose};
use crate::session::server::{CopyError, ServerError};

mod apply;
mod columns;
mod definitions;
mod functions;
mod plan;

/// Why an undo was not done. Nothing of it lasts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    /// The server refused or went away.
    #[error("the server refused: {0}")]
    Server(#[from] ServerError),
    /// What was kept cannot be read.
    #[error("{0}")]
    Point(#[from] PointError),
    /// It cannot be done.
    #[error("{0}")]
    Impossible(String),
    /// It would run what an agent may have defined.
    #[error("{0}")]
    Runs(String),
}

impl From<CopyError> for UndoError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Server(error) => Self::Server(error),
            CopyError::Point(error) => Self::Point(error),
        }
    }
}

impl From<UndoError> for Refusal {
    fn from(error: UndoError) -> Self {
        let code = match error {
            UndoError::Server(ServerError::Gone | ServerError::Nonsense(_)) => {
                Code::UpstreamUnreachable
            }
            UndoError::Server(_) | UndoError::Impossible(_) | UndoError::Runs(_) => Code::Forbidden,
            UndoError::Point(_) => Code::ObligationFailed,
        };
        let next_step = match error {
            UndoError::Runs(_) => "Look at it, then let it run with --run-functions",
            UndoError::Server(_) | UndoError::Point(_) | UndoError::Impossible(_) => {
                "Look at the plan with --dry-run"
            }
        };
        let mut refusal = Refusal::new(code, error.to_string());
        refusal.not_done = "nothing was restored; the database is as it was before".into();
        refusal.next_step = next_step.into();
        refusal
    }
}

impl PostgresAdapter {
    /// Restores what a transaction destroyed, or plans it. `by` is the human whose proof was checked.
    ///
    /// # Errors
    /// The point is gone or holds something else, the database is not declared or cannot be reached, or its tables have
    /// changed so that the rows do not fit. Nothing is restored then.
    pub async fn undo(self: &Arc<Self>, ask: &UndoAsk, by: String) -> Result<UndoReport, Refusal> {
        let points = Arc::clone(&self.points);
        let info = points.find(&ask.point).await.map_err(UndoError::from)?;
        let images = images_of(&info)?;
        let database = self.database(info.head.upstream.as_str()).ok_or_else(|| {
            Refusal::new(
                Code::UndeclaredUpstream,
                format!("database `{}` is not declared any more", info.head.upstream),
            )
        })?;
        let why = format!("undo {}", ask.point);
        let effect =
            if ask.dry_run { Effect::WRITE } else { Effect::DESTROY.with(Facet::Unbounded) };
        let purpose = Purpose {
            kind: ErrandKind::Undo,
            by: Some(by.clone()),
            operation: "undo",
            effect,
            why: &why,
        };
        let mut own = Own::open(self, &database, purpose).await?;
        let with = With { points: points.as_ref(), adapter: self, database: &database };
        let done = run(&mut own, &with, &images, ask).await;
        own.close(done.is_err());
        let report = done?;
        let mut entry = Draft::new(Kind::Errand);
        entry.by = Some(by);
        entry.upstream = Some(database.name.clone());
        entry.operation = Some("postgres.undo".into());
        entry.verdict = Some(if report.done { "undone" } else { "planned" }.into());
        entry.details = serde_json::json!({ "point": ask.point, "report": report });
        if let Err(error) = self.gate.note(entry).await {
            tracing::warn!(%error, "what an undo restored could not be recorded");
        }
        Ok(report)
    }
}

fn images_of(info: &PointInfo) -> Result<Images, Refusal> {
    let other = |what: &str| {
        let mut refusal = Refusal::new(Code::Forbidden, format!("{} is {what}", info.head.id));
        refusal.not_done = "nothing was restored".into();
        refusal
    };
    if info.head.kind != PointKind::Images {
        return Err(other("not a recovery point of rows; restore a snapshot beside, not over"));
    }
    let images: Images = serde_json::from_value(info.manifest.clone())
        .map_err(|_| other("written in a form that this version does not know"))?;
    if images.version > IMAGES_VERSION {
        return Err(other("written by a later version"));
    }
    Ok(images)
}

/// What an undo works with.
struct With<'a> {
    points: &'a dyn Points,
    adapter: &'a PostgresAdapter,
    database: &'a Database,
}

async fn run(
    own: &mut Own,
    with: &With<'_>,
    images: &Images,
    ask: &UndoAsk,
) -> Result<UndoReport, UndoError> {
    own.ask("BEGIN READ WRITE").await?;
    let ran = in_transaction(own, with, images, ask).await;
    match &ran {
        Ok(report) if report.done => {
            own.ask("COMMIT").await?;
        }
        Ok(_) | Err(_) => {
            // A connection that is gone has rolled back by itself.
            let _ = own.ask("ROLLBACK").await;
        }
    }
    ran
}

async fn in_transaction(
    own: &mut Own,
    with: &With<'_>,
    images: &Images,
    ask: &UndoAsk,
) -> Result<UndoReport, UndoError> {
    let mut report = UndoReport { not_covered: images.not_covered.clone(), ..Default::default() };
    functions::would_run(own, with.database, ask, &[]).await?;
    let gone = definitions::gone(own, with.points, with.adapter, &ask.point, images).await?;
    if let Some(gone) = &gone {
        report.definitions.clone_from(&gone.labels);
        report.not_covered.extend(gone.moved.iter().cloned());
        definitions::make_types(own, gone).await?;
    }
    let mut altered = fill_columns(own, with, images, ask, &mut report).await?;
    if let Some(gone) = &gone {
        definitions::make(own, gone).await?;
    }
    for columns in &mut altered.columns {
        columns.finish(own).await?;
        report.not_covered.append(&mut columns.short);
    }
    apply::release(own, altered.held()).await?;
    let tables = plan::order(own, &images.tables, images.definitions.is_some()).await?;
    let written: Vec<&TableImages> = tables.iter().collect();
    functions::would_run(own, with.database, ask, &written).await?;
    for (at, table) in tables.iter().enumerate() {
        plan::bring(own, with.points, &ask.point, at, table).await?;
        report.tables.push(plan::plan(own, at, table, ask).await?);
    }
    let triggers = apply::triggers(own, &tables).await?;
    if !ask.fire_triggers {
        report.triggers_held.extend(triggers.iter().map(apply::Trigger::label));
    }
    let in_the_way = report.edited() > 0 && ask.edited != WhenEdited::Skip;
    if ask.dry_run || in_the_way {
        return Ok(report);
    }
    // What was compared is locked against other definitions by now.
    functions::would_run(own, with.database, ask, &written).await?;
    let held = if ask.fire_triggers { &[][..] } else { &triggers[..] };
    apply::hold(own, held).await?;
    apply::apply(own, &tables).await?;
    apply::release(own, held).await?;
    if let Some(gone) = &gone {
        definitions::finish(own, gone, images).await?;
    }
    report.done = true;
    Ok(report)
}

/// Columns that have their values back, and the triggers that are held for it.
struct Altered<'a> {
    columns: Vec<columns::Columns<'a>>,
    triggers: Vec<apply::Trigger>,
    fires: bool,
}

impl Altered<'_> {
    fn held(&self) -> &[apply::Trigger] {
        if self.fires { &[] } else { &self.triggers }
    }
}

/// Puts the values of columns back. For a plan too: what hangs on them could not be made otherwise, and the
/// transaction is rolled back.
async fn fill_columns<'a>(
    own: &mut Own,
    with: &With<'_>,
    images: &'a Images,
    ask: &UndoAsk,
    report: &mut UndoReport,
) -> Result<Altered<'a>, UndoError> {
    let rows: Vec<_> = images.columns.iter().map(|it| it.rows.clone()).collect();
    let written: Vec<&TableImages> = rows.iter().collect();
    functions::would_run(own, with.database, ask, &written).await?;
    let triggers = apply::triggers(own, &rows).await?;
    let mut altered = Altered { columns: Vec::new(), triggers, fires: ask.fire_triggers };
    if !ask.fire_triggers {
        report.triggers_held.extend(altered.triggers.iter().map(apply::Trigger::label));
    }
    apply::hold(own, altered.held()).await?;
    for (at, table) in images.columns.iter().enumerate() {
        // Behind the numbers of the tables whose rows come back.
        let at = images.tables.len().saturating_add(at);
        let (columns, planned) = columns::plan(own, with.points, ask, at, table).await?;
        report.definitions.extend(columns.labels());
        report.tables.push(planned);
        functions::would_run(own, with.database, ask, &[&table.rows]).await?;
        columns.fill(own).await?;
        altered.columns.push(columns);
    }
    Ok(altered)
}
