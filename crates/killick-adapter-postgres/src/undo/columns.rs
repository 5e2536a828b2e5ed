//! Columns that were dropped or rewritten get their values back, row by row, by the key.
//!
//! A column that is gone is made again as it was defined; one that has another type gets its former one. Rows that were
//! added since keep what they have, as far as the former type can hold it.

use std::collections::BTreeMap;

use killick_gate::points::Points;
use killick_model::PointId;
use killick_model::point::{UndoAsk, UndoneTable};

use super::UndoError;
use super::plan::{after, before, bring_into, decide, key_label, key_match, number, plan_name};
use crate::session::images::{
    ColumnImages, DECLARED, KeptColumn, LostColumn, TableImages, list, literal, quoted,
};
use crate::session::own::Own;

/// The columns of one table, with what is there now.
pub(super) struct Columns<'a> {
    at: usize,
    images: &'a ColumnImages,
    /// Those that lost values and are there.
    present: BTreeMap<String, Present>,
    /// What cannot be as it was.
    pub(super) short: Vec<String>,
}

/// A column that is there.
struct Present {
    /// Its type and collation as DDL writes them.
    declared: String,
    /// Its type alone.
    kind: String,
    number: i16,
}

/// Plans what happens to each row of a table that lost values.
pub(super) async fn plan<'a>(
    own: &mut Own,
    points: &dyn Points,
    ask: &UndoAsk,
    at: usize,
    images: &'a ColumnImages,
) -> Result<(Columns<'a>, UndoneTable), UndoError> {
    let present = present(own, images).await?;
    let columns = Columns { at, images, present, short: Vec::new() };
    columns.bring(own, points, &ask.point).await?;
    let sql = columns.planned();
    let planned = decide(own, at, &images.rows, ask, &sql).await?;
    Ok((columns, planned))
}

async fn present(
    own: &mut Own,
    images: &ColumnImages,
) -> Result<BTreeMap<String, Present>, UndoError> {
    let table = &images.rows;
    let sql = format!("SELECT pg_catalog.to_regclass({})::oid", literal(&table.quoted()));
    let there = own.ask(&sql).await?.into_iter().next().and_then(|row| row.into_iter().next());
    if there.flatten() != Some(table.oid.to_string()) {
        return Err(UndoError::Impossible(format!(
            "table {} is not there any more, or was made anew",
            table.quoted()
        )));
    }
    let sql = format!(
        "SELECT a.attname::text, {DECLARED}, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnum::text \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped",
        table.oid
    );
    let (mut present, mut keys) = (BTreeMap::new(), 0_usize);
    for row in own.ask(&sql).await? {
        let [Some(name), Some(declared), Some(kind), Some(raw)] = row.as_slice() else { continue };
        let (declared, kind) = (declared.clone(), kind.clone());
        keys = keys.saturating_add(usize::from(images.is_key(name, raw)));
        let Ok(number) = raw.parse() else { continue };
        if images.lost.iter().any(|it| it.name == *name) {
            present.insert(name.clone(), Present { declared, kind, number });
        }
    }
    // By other columns other rows would be found.
    if keys != table.key.len() {
        return Err(UndoError::Impossible(format!(
            "the key of {} is not the one by which its values were kept",
            table.quoted()
        )));
    }
    Ok(present)
}

impl Columns<'_> {
    fn table(&self) -> &TableImages {
        &self.images.rows
    }

    fn is_absent(&self, column: &LostColumn) -> bool {
        !self.present.contains_key(&column.name)
    }

    /// Returns whether the column is there with another type.
    fn differs(&self, column: &LostColumn) -> bool {
        self.present.get(&column.name).is_some_and(|it| it.declared != column.declared)
    }

    /// Returns whether the column is gone, or another one stands in its place, which has nothing of what it had.
    fn is_fresh(&self, column: &LostColumn) -> bool {
        self.present.get(&column.name).is_none_or(|it| it.number != column.number)
    }

    /// Returns the columns whose values were kept, the computed ones left out.
    fn valued(&self) -> impl Iterator<Item = &LostColumn> {
        self.images.lost.iter().filter(|column| column.generated.is_none())
    }

    /// Returns the definitions that are made again, as people read them.
    pub(super) fn labels(&self) -> Vec<String> {
        let table = self.table();
        let label = |what: &str, column: &LostColumn| {
            format!("{what} {} {} {}", table.schema, table.name, column.name)
        };
        let lost = self.images.lost.iter();
        lost.filter_map(|column| match (self.is_absent(column), self.differs(column)) {
            (true, _) => Some(label("COLUMN", column)),
            (false, true) => Some(label("TYPE OF COLUMN", column)),
            (false, false) => None,
        })
        .collect()
    }

    async fn bring(
        &self,
        own: &mut Own,
        points: &dyn Points,
        point: &PointId,
    ) -> Result<(), UndoError> {
        let table = self.table();
        let define = |columns: &[&KeptColumn]| {
            let each = columns.iter().map(|it| format!("{} {}", quoted(&it.name), it.kind));
            each.collect::<Vec<_>>().join(", ")
        };
        let all: Vec<&KeptColumn> = table.columns.iter().collect();
        let of_key = table.key.iter().filter_map(|name| all.iter().find(|it| it.name == *name));
        let left: Vec<&KeptColumn> = of_key.copied().chain(&self.images.left).collect();
        for (name, columns, kept) in
            [(before(self.at), all, &table.before), (after(self.at), left, &table.after)]
        {
            let definition = define(&columns);
            own.ask(&format!("CREATE TEMPORARY TABLE {name} ({definition}) ON COMMIT DROP"))
                .await?;
            let names = list(columns.iter().map(|it| it.name.as_str()));
            bring_into(own, points, point, &name, &names, table, kept.as_ref()).await?;
        }
        Ok(())
    }

    /// Returns the statement that compares what every row has with what was kept and what was left.
    fn planned(&self) -> String {
        let table = self.table();
        let lost: Vec<&str> = self.valued().map(|it| it.name.as_str()).collect();
        let there: Vec<&str> =
            lost.iter().copied().filter(|name| self.present.contains_key(*name)).collect();
        let was_left = |name: &&str| self.images.left.iter().any(|it| it.name == **name);
        let (left, fresh): (Vec<&str>, Vec<&str>) = there.iter().copied().partition(was_left);
        let mut states = Vec::new();
        if there.len() == lost.len() {
            states.push(format!("WHEN {} = {} THEN 'already'", row("c", &lost), row("b", &lost)));
        }
        if !left.is_empty() {
            states.push(format!(
                "WHEN {} IS DISTINCT FROM {} THEN 'edited'",
                row("c", &left),
                row("a", &left)
            ));
        }
        // Made since by somebody else: what stands there is newer.
        for name in fresh {
            states.push(format!("WHEN c.{} IS NOT NULL THEN 'edited'", quoted(name)));
        }
        format!(
            "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS \
             SELECT 'changed'::text AS what, b.ctid AS row, true AS here, {label} AS label, \
             'the row was changed since'::text AS found, CASE {states} WHEN true THEN 'go' END AS state \
             FROM {before} b JOIN ONLY {there} c ON {c_b} LEFT JOIN {after} a ON {a_b}",
            name = plan_name(self.at),
            label = key_label("b", table),
            states = states.join(" "),
            before = before(self.at),
            there = table.quoted(),
            c_b = key_match("c", "b", table),
            after = after(self.at),
            a_b = key_match("a", "b", table),
        )
    }

    /// Makes the columns that are gone, gives the others their former types, and puts the values back.
    pub(super) async fn fill(&self, own: &mut Own) -> Result<(), UndoError> {
        own.ask("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let table = self.table();
        let differing: Vec<&LostColumn> = self.valued().filter(|it| self.differs(it)).collect();
        self.set_aside(own, &differing).await?;
        let mut steps = Vec::new();
        for column in &self.images.lost {
            let name = quoted(&column.name);
            let generated = column.generated.as_ref();
            if self.is_absent(column) {
                let computed = generated
                    .map_or_else(String::new, |it| format!(" GENERATED ALWAYS AS ({it}) STORED"));
                steps.push(format!("ADD COLUMN {name} {}{computed}", column.declared));
            } else if generated.is_none() && (self.differs(column) || self.is_fresh(column)) {
                steps.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
                steps.push(format!("ALTER COLUMN {name} DROP NOT NULL"));
                if self.differs(column) {
                    steps.push(format!("ALTER COLUMN {name} TYPE {} USING NULL", column.declared));
                }
            }
        }
        if !steps.is_empty() {
            own.ask(&format!("ALTER TABLE ONLY {} {}", table.quoted(), steps.join(", "))).await?;
        }
        // A column that was gone has nothing newer in any row.
        let (gone, there): (Vec<&LostColumn>, Vec<&LostColumn>) =
            self.valued().partition(|it| self.is_absent(it));
        for (columns, only) in [(gone, ""), (there, "p.state = 'go' AND ")] {
            let set: Vec<String> =
                columns.iter().map(|it| format!("{0} = b.{0}", quoted(&it.name))).collect();
            if set.is_empty() {
                continue;
            }
            own.ask(&format!(
                "UPDATE ONLY {} c SET {} FROM {} b JOIN {} p ON p.row = b.ctid WHERE {only}{}",
                table.quoted(),
                set.join(", "),
                before(self.at),
                plan_name(self.at),
                key_match("c", "b", table),
            ))
            .await?;
        }
        self.bring_back(own, &differing).await?;
        self.check(own).await
    }

    fn aside(&self) -> String {
        format!("pg_temp._killick_aside_{}", self.at)
    }

    /// Remembers as text what rows have that do not get a former value.
    async fn set_aside(&self, own: &mut Own, differing: &[&LostColumn]) -> Result<(), UndoError> {
        if differing.is_empty() {
            return Ok(());
        }
        let table = self.table();
        let keys = table.key.iter().map(|it| format!("c.{}", quoted(it)));
        let values = differing.iter().map(|it| format!("c.{0}::text AS {0}", quoted(&it.name)));
        let all: Vec<String> = keys.chain(values).collect();
        own.ask(&format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM ONLY {} c WHERE NOT EXISTS \
             (SELECT 1 FROM {} b JOIN {} p ON p.row = b.ctid WHERE p.state = 'go' AND {})",
            self.aside(),
            all.join(", "),
            table.quoted(),
            before(self.at),
            plan_name(self.at),
            key_match("c", "b", table),
        ))
        .await?;
        Ok(())
    }

    async fn bring_back(&self, own: &mut Own, differing: &[&LostColumn]) -> Result<(), UndoError> {
        if differing.is_empty() {
            return Ok(());
        }
        let table = self.table();
        let kind = |name: &str| table.columns.iter().find(|it| it.name == name).map(|it| &it.kind);
        let set: Vec<String> = differing
            .iter()
            .filter_map(|it| Some(format!("{0} = n.{0}::{1}", quoted(&it.name), kind(&it.name)?)))
            .collect();
        own.ask(&format!(
            "UPDATE ONLY {} c SET {} FROM {} n WHERE {}",
            table.quoted(),
            set.join(", "),
            self.aside(),
            key_match("c", "n", table),
        ))
        .await?;
        for column in differing {
            self.is_uncut(own, column).await?;
        }
        Ok(())
    }

    /// Makes sure that a newer value means in the former type what it meant in the one that it had.
    async fn is_uncut(&self, own: &mut Own, column: &LostColumn) -> Result<(), UndoError> {
        let former = self.table().columns.iter().find(|it| it.name == column.name);
        let (Some(present), Some(former)) = (self.present.get(&column.name), former) else {
            return Ok(());
        };
        let casts = format!(
            "SELECT (SELECT count(*) FROM pg_catalog.pg_cast WHERE castsource = {from}::regtype AND casttarget = {to}::regtype) \
             + (SELECT count(*) FROM pg_catalog.pg_type WHERE oid = {to}::regtype AND (typcategory = 'S' OR oid = {from}::regtype))",
            from = literal(&former.kind),
            to = literal(&present.kind)
        );
        let name = quoted(&column.name);
        let back = if number(own, &casts).await? > 0 {
            format!("c.{name}::{}::text", present.kind)
        } else {
            format!("c.{name}::text")
        };
        let table = self.table().quoted();
        let sql = format!(
            "SELECT count(*) FROM ONLY {table} c JOIN {} n ON {} WHERE {back} IS DISTINCT FROM n.{name}",
            self.aside(),
            key_match("c", "n", self.table()),
        );
        match number(own, &sql).await? {
            0 => Ok(()),
            cut => Err(UndoError::Impossible(format!(
                "{cut} newer values of column {name} of {table} do not fit its former type {}",
                column.declared
            ))),
        }
    }

    /// Compares every row that got its values back with what was kept.
    async fn check(&self, own: &mut Own) -> Result<(), UndoError> {
        let table = self.table();
        let lost: Vec<&str> = self.valued().map(|it| it.name.as_str()).collect();
        let sql = format!(
            "SELECT count(*) FROM {} b JOIN {} p ON p.row = b.ctid LEFT JOIN ONLY {} c ON {} \
             WHERE p.state = 'go' AND (c.ctid IS NULL OR {} <> {})",
            before(self.at),
            plan_name(self.at),
            table.quoted(),
            key_match("c", "b", table),
            row("c", &lost),
            row("b", &lost),
        );
        match number(own, &sql).await? {
            0 => Ok(()),
            wrong => Err(UndoError::Impossible(format!(
                "{wrong} rows of {} did not come out as they were",
                table.quoted()
            ))),
        }
    }

    /// Gives the columns back what else they had, once all that their defaults may need is there.
    pub(super) async fn finish(&mut self, own: &mut Own) -> Result<(), UndoError> {
        own.ask("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let table = self.table().quoted();
        for column in &self.images.lost {
            let name = quoted(&column.name);
            let (absent, anew) =
                (self.is_absent(column), self.is_fresh(column) || self.differs(column));
            if let Some(default) = column.default.as_ref().filter(|_| anew) {
                own.ask(&format!(
                    "ALTER TABLE ONLY {table} ALTER COLUMN {name} SET DEFAULT {default}"
                ))
                .await?;
            }
            if absent && column.default.is_some() {
                // Rows that were added since never had a value.
                own.ask(&format!(
                    "UPDATE ONLY {table} c SET {name} = DEFAULT WHERE NOT EXISTS (SELECT 1 FROM {} b WHERE {})",
                    before(self.at),
                    key_match("c", "b", self.table())
                ))
                .await?;
                own.ask("SET CONSTRAINTS ALL IMMEDIATE").await?;
            }
            if column.not_null && anew {
                let sql = format!("SELECT count(*) FROM ONLY {table} WHERE {name} IS NULL");
                match number(own, &sql).await? {
                    0 => {
                        let set = "SET NOT NULL";
                        own.ask(&format!("ALTER TABLE ONLY {table} ALTER COLUMN {name} {set}"))
                            .await?;
                    }
                    empty => self.short.push(format!(
                        "column {name} of {table} is left without NOT NULL: {empty} rows that were added since have no \
                         value in it"
                    )),
                }
            }
            for statement in column.besides.iter().filter(|_| self.is_fresh(column)) {
                own.ask(statement).await?;
            }
        }
        for check in &self.images.checks {
            let sql = format!(
                "SELECT count(*) FROM pg_catalog.pg_constraint WHERE conrelid = {} AND conname = {}",
                self.table().oid,
                literal(&check.name)
            );
            if number(own, &sql).await? == 0 {
                let (name, definition) = (quoted(&check.name), &check.definition);
                own.ask(&format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {definition}"))
                    .await?;
            }
        }
        Ok(())
    }
}

/// Returns some values of a row as text, as the types themselves write it.
fn row(of: &str, names: &[&str]) -> String {
    let each: Vec<String> = names.iter().map(|it| format!("{of}.{}", quoted(it))).collect();
    format!("ROW({})::text", each.join(", "))
}
