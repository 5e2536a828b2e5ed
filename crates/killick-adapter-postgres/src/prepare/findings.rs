//! What the server's answers mean, layer by layer.

use killick_model::readiness::{Finding, Layer, LayerState};

use super::seen::{SeenRole, SeenServer};

/// Connections of the gateway's own, and one session.
const CONNECTIONS_MIN: i64 = 4;
/// The first version that reports when a session's default of read-only changes.
const REPORTS_FROM: u32 = 140_000;

/// Everything that was found out.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the server")]
pub(crate) struct Probed {
    pub(crate) server: SeenServer,
    /// The name of the role that was looked at.
    pub(crate) role_name: String,
    /// The role that sessions run as today.
    pub(crate) declared: Option<String>,
    /// None when there is no role of the name.
    pub(crate) role: Option<SeenRole>,
    /// Whether sessions of the role are to read only.
    pub(crate) read_only: bool,
    /// Whether the process that answers is another than the one that let the gateway in.
    pub(crate) other_process: bool,
    /// Whether two connections were served by one process, or one by two.
    pub(crate) shared_process: bool,
    /// Whether the server reports its default of read-only.
    pub(crate) reported: bool,
    /// What the server said to a write in a transaction that may only read; none when it let it pass.
    pub(crate) write_refused: Option<String>,
    /// Why a time limit could not be set.
    pub(crate) limit_refused: Option<String>,
    /// Why the login did not become the role.
    pub(crate) role_refused: Option<String>,
    /// Relations and functions that were read, and functions that nobody can judge; or why they were not.
    pub(crate) catalogue: Result<(usize, usize, usize), String>,
}

impl Probed {
    /// Returns what it means, layer by layer.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut all = vec![self.may_become()];
        if let Some(role) = &self.role {
            all.extend([
                attributes(role, self),
                rights(role, self),
                functions(role),
                beyond(role, &self.server),
            ]);
        }
        all.extend([
            self.login(),
            self.read_only_reported(),
            self.read_only_refuses(),
            self.catalogue_read(),
            self.counting(),
            self.every_row(),
            self.options(),
            self.pooler(),
            self.limits(),
            self.connections(),
            self.wal(),
        ]);
        all
    }

    fn may_become(&self) -> Finding {
        let name = &self.role_name;
        let script = "run the statements: killick database prepare NAME | psql \"$ADMIN_URL\"";
        let at = |state, found: String, remedy: Option<String>| {
            finding(Layer::Role, "sessions' role", state, found, remedy)
        };
        if self.role.is_none() {
            let who = if self.server.login_attributes.createrole {
                "; the login itself has CREATEROLE and may run most of them"
            } else {
                "; the login has no CREATEROLE, so somebody else has to"
            };
            return at(
                LayerState::Missing,
                format!("there is no role `{name}`"),
                Some(format!("{script}{who}")),
            );
        }
        if let Some(why) = &self.role_refused {
            return at(
                LayerState::Missing,
                format!("the login may not become `{name}`: {why}"),
                Some(script.into()),
            );
        }
        match &self.declared {
            Some(declared) if declared == name => {
                at(LayerState::Holds, format!("sessions run as `{name}`"), None)
            }
            declared => at(
                LayerState::Missing,
                format!(
                    "`{name}` is there, and sessions run as {}",
                    declared.as_deref().map_or("the login itself".into(), |it| format!("`{it}`"))
                ),
                Some(format!(
                    "declare it: killick database add NAME --replace --{} {name} ...",
                    if self.read_only { "read-role" } else { "role" }
                )),
            ),
        }
    }

    fn login(&self) -> Finding {
        let server = &self.server;
        let words = server.login_attributes.words();
        let at = |state, found: String, remedy: Option<&str>| {
            finding(Layer::Role, "login", state, found, remedy.map(str::to_owned))
        };
        let own = "let the gateway log in as a user of its own that owns nothing (--url with another user)";
        if server.login_attributes.superuser {
            at(LayerState::Missing, format!("`{}` is a superuser", server.login), Some(own))
        } else if !server.login_reaches.is_empty() {
            let found =
                format!("`{}` is a member of {}", server.login, said(&server.login_reaches));
            at(LayerState::Missing, found, Some(own))
        } else if words.iter().any(|it| *it != "BYPASSRLS") || server.login_owns > 0 {
            let mut has: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
            if server.login_owns > 0 {
                has.push(format!("{} tables of its own", server.login_owns));
            }
            let found = format!(
                "`{}` has {}: behind RESET ROLE, which the judgement refuses, stands more than the role",
                server.login,
                has.join(", ")
            );
            at(LayerState::InPart, found, Some(own))
        } else {
            at(
                LayerState::Holds,
                format!("`{}` is no superuser and owns nothing", server.login),
                None,
            )
        }
    }

    fn read_only_reported(&self) -> Finding {
        let (state, remedy) = if self.reported {
            (LayerState::Holds, None)
        } else {
            let remedy = "use PostgreSQL 14 or later; here a read is as safe as the role and the judgement make it";
            (LayerState::Missing, Some(remedy.to_owned()))
        };
        let found = match (self.reported, self.server.version >= REPORTS_FROM) {
            (true, _) => "the server says when a session's default of read-only changes".to_owned(),
            (false, true) => {
                "the server could say when the default changes; something in front keeps it back"
                    .into()
            }
            (false, false) => format!(
                "version {} does not say when a session's default of read-only changes",
                version_text(self.server.version)
            ),
        };
        finding(Layer::ReadOnly, "default reported", state, found, remedy)
    }

    fn read_only_refuses(&self) -> Finding {
        match &self.write_refused {
            Some(why) => finding(
                Layer::ReadOnly,
                "writes refused",
                LayerState::Holds,
                format!("in a transaction of a read the server says: {why}"),
                None,
            ),
            None => finding(
                Layer::ReadOnly,
                "writes refused",
                LayerState::Missing,
                "a write passed where the session's default is read-only".into(),
                Some(
                    "look for what sets default_transaction_read_only in front of the server"
                        .into(),
                ),
            ),
        }
    }

    fn catalogue_read(&self) -> Finding {
        let at =
            |state, found, remedy| finding(Layer::Judgement, "catalogue", state, found, remedy);
        match &self.catalogue {
            Ok((relations, functions, 0)) => at(
                LayerState::Holds,
                format!(
                    "{relations} relations and {functions} functions were read, and each can be judged"
                ),
                None,
            ),
            Ok((relations, functions, dark)) => at(
                LayerState::Holds,
                format!(
                    "{relations} relations and {functions} functions were read; {dark} of the functions nobody can judge: calls of them are refused"
                ),
                None,
            ),
            Err(why) => at(
                LayerState::Missing,
                format!("the catalogue cannot be read: {why}"),
                Some("let the login read the schema pg_catalog".into()),
            ),
        }
    }

    fn counting(&self) -> Finding {
        let on = self.server.track_counts == "on";
        let state = if on { LayerState::Holds } else { LayerState::Missing };
        let remedy = (!on).then(|| {
            "set track_counts = on at the server: without it no rows are counted before COMMIT"
                .to_owned()
        });
        finding(
            Layer::Undo,
            "rows counted",
            state,
            format!("track_counts is {}", self.server.track_counts),
            remedy,
        )
    }

    fn every_row(&self) -> Finding {
        let server = &self.server;
        let at = |state, found, remedy: Option<&str>| {
            finding(Layer::Undo, "every row seen", state, found, remedy.map(str::to_owned))
        };
        if !server.hidden.is_empty() {
            let found =
                format!("row security hides rows of {} from the login", said(&server.hidden));
            if server.inspector {
                return at(
                    LayerState::InPart,
                    format!("{found}; it may become killick_inspector, which sees them"),
                    None,
                );
            }
            return at(
                LayerState::Missing,
                found,
                Some(
                    "let a superuser run the statements, or ALTER ROLE ... BYPASSRLS for the login: else nothing of these tables can be kept for undo",
                ),
            );
        }
        if !server.unreadable.is_empty() {
            return at(
                LayerState::Missing,
                format!("the login may not read {}", said(&server.unreadable)),
                Some(
                    "run the statements as the owner of these tables: what cannot be read cannot be kept for undo",
                ),
            );
        }
        at(LayerState::Holds, "the login sees every row of every table".into(), None)
    }

    fn options(&self) -> Finding {
        let server = &self.server;
        let arrived = server.read_only_default == "on" && server.lock_timeout == "5s";
        let state = if arrived { LayerState::Holds } else { LayerState::Missing };
        let found = if arrived {
            "start-up options reach the server".to_owned()
        } else {
            format!(
                "start-up options do not reach the server: default_transaction_read_only is {}, lock_timeout {}",
                server.read_only_default, server.lock_timeout
            )
        };
        let remedy =
            (!arrived).then(|| "connect to the server itself, around the pooler".to_owned());
        finding(Layer::Server, "start-up options", state, found, remedy)
    }

    fn pooler(&self) -> Finding {
        let at = |state, found: &str, remedy: Option<&str>| {
            finding(Layer::Server, "pooler", state, found.to_owned(), remedy.map(str::to_owned))
        };
        if self.shared_process {
            at(
                LayerState::Missing,
                "a transaction pooler stands in front: one process serves several sessions",
                Some(
                    "connect to the server itself, or to a pool in session mode: settings and the role would pass from one session to another",
                ),
            )
        } else if self.other_process {
            at(
                LayerState::InPart,
                "a pooler stands in front, and keeps a session on one process",
                Some(
                    "connect to the server itself where you can: a pool may be set to another mode later",
                ),
            )
        } else {
            at(LayerState::Holds, "no pooler in front: a session is a process of the server", None)
        }
    }

    fn limits(&self) -> Finding {
        match &self.limit_refused {
            None => finding(
                Layer::Server,
                "time limits",
                LayerState::Holds,
                "statement_timeout and lock_timeout can be set".into(),
                None,
            ),
            Some(why) => finding(
                Layer::Server,
                "time limits",
                LayerState::Missing,
                format!("no time limit can be set: {why}"),
                Some("let the login set statement_timeout and lock_timeout".into()),
            ),
        }
    }

    fn connections(&self) -> Finding {
        let server = &self.server;
        let left =
            |limit: i64, used: i64| if limit < 0 { i64::MAX } else { limit.saturating_sub(used) };
        let free = left(server.connections.max(0), server.used)
            .min(left(server.database_limit, server.database_used))
            .min(left(server.login_limit, server.login_used));
        let state = if free >= CONNECTIONS_MIN { LayerState::Holds } else { LayerState::Missing };
        let remedy = (free < CONNECTIONS_MIN).then(|| {
            "raise max_connections or the limit of the database or the login: the gateway needs one for each session, and at most three beside".to_owned()
        });
        finding(Layer::Server, "connections", state, format!("{} are left", free.max(0)), remedy)
    }

    fn wal(&self) -> Finding {
        let level = &self.server.wal_level;
        let minimal = level == "minimal";
        let state = if minimal { LayerState::InPart } else { LayerState::Holds };
        let remedy =
            minimal.then(|| "no base backup can be taken: snapshots are dumps here".to_owned());
        finding(Layer::Undo, "write-ahead log", state, format!("wal_level is {level}"), remedy)
    }
}

/// Says that nobody is let in who sends start-up options.
pub(crate) fn no_options(why: &str) -> Finding {
    finding(
        Layer::Server,
        "start-up options",
        LayerState::Missing,
        format!("a pooler in front takes no start-up options: {why}"),
        Some("connect to the server itself, around the pooler".into()),
    )
}

fn attributes(role: &SeenRole, probed: &Probed) -> Finding {
    let name = &probed.role_name;
    let mut has: Vec<String> = role.attributes.words().iter().map(|it| (*it).to_owned()).collect();
    if role.attributes.login {
        has.push("LOGIN".into());
    }
    if !role.memberships.is_empty() {
        has.push(format!("membership in {}", said(&role.memberships)));
    }
    if role.owns > 0 {
        has.push(format!("{} relations of its own", role.owns));
    }
    let remedy = "run the statements; what it owns goes to another role first (REASSIGN OWNED)";
    judged(
        Layer::Role,
        "least privilege",
        has.is_empty(),
        || {
            if has.is_empty() {
                format!("`{name}` has no attribute, no membership, and owns nothing")
            } else {
                format!("`{name}` has {}", has.join(", "))
            }
        },
        remedy,
    )
}

fn rights(role: &SeenRole, probed: &Probed) -> Finding {
    let mut has = Vec::new();
    if !role.strong.is_empty() {
        has.push(format!("TRUNCATE, REFERENCES or TRIGGER on {}", said(&role.strong)));
    }
    if !role.creates.is_empty() {
        has.push(format!("CREATE in {}", said(&role.creates)));
    }
    if probed.read_only && role.changes > 0 {
        has.push(format!("the right to change {} tables", role.changes));
    }
    judged(
        Layer::Role,
        "rights",
        has.is_empty(),
        || {
            if has.is_empty() {
                format!("it reads {} tables and changes rows of {}", role.reads, role.changes)
            } else {
                format!("it has {}", has.join(", "))
            }
        },
        "run the statements as the owner of these, or as a superuser",
    )
}

fn functions(role: &SeenRole) -> Finding {
    let mut open = Vec::new();
    if !role.server_functions.is_empty() {
        open.push(format!("of the server's own {}", said(&role.server_functions)));
    }
    if !role.definers.is_empty() {
        open.push(format!("with their owners' rights {}", said(&role.definers)));
    }
    let state = if open.is_empty() { LayerState::Holds } else { LayerState::InPart };
    let found = if open.is_empty() {
        "it runs none that acts beside its rights".to_owned()
    } else {
        format!("it may run, {}", open.join("; "))
    };
    let remedy = (!open.is_empty()).then(|| {
        "run the statements as a superuser; for those with owners' rights: REVOKE EXECUTE ... FROM PUBLIC where an agent need not call them".to_owned()
    });
    finding(Layer::Role, "functions", state, found, remedy)
}

fn beyond(role: &SeenRole, server: &SeenServer) -> Finding {
    let all: Vec<String> =
        role.reaching.iter().chain(&role.untrusted).chain(&role.foreign).cloned().collect();
    judged(
        Layer::Role,
        "reach",
        all.is_empty(),
        || {
            if all.is_empty() {
                let there: Vec<String> =
                    server.extensions.iter().chain(&server.languages).cloned().collect();
                if there.is_empty() {
                    "it reaches nothing outside of the database".to_owned()
                } else {
                    format!("{} are there, and closed to it", said(&there))
                }
            } else {
                format!("it reaches out of the database by {}", said(&all))
            }
        },
        "run the statements as a superuser; revoke the use of foreign servers and tables from the role",
    )
}

fn judged(
    layer: Layer,
    about: &str,
    good: bool,
    found: impl FnOnce() -> String,
    remedy: &str,
) -> Finding {
    let state = if good { LayerState::Holds } else { LayerState::Missing };
    finding(layer, about, state, found(), (!good).then(|| remedy.to_owned()))
}

fn finding(
    layer: Layer,
    about: &str,
    state: LayerState,
    found: String,
    remedy: Option<String>,
) -> Finding {
    Finding { layer, about: about.to_owned(), state, found, remedy }
}

fn said(names: &[String]) -> String {
    names.join(", ")
}

/// Returns a version number in words.
pub(crate) fn version_text(version: u32) -> String {
    let (major, minor) = (version.div_euclid(10_000), version.rem_euclid(10_000));
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::seen::Attributes;

    fn good() -> Probed {
        let server = SeenServer {
            version: 150_013,
            login: "gate".into(),
            read_only_default: "on".into(),
            lock_timeout: "5s".into(),
            track_counts: "on".into(),
            wal_level: "replica".into(),
            connections: 97,
            database_limit: -1,
            login_limit: -1,
            ..SeenServer::default()
        };
        Probed {
            server,
            role_name: "agents".into(),
            declared: Some("agents".into()),
            role: Some(SeenRole { may_become: true, ..SeenRole::default() }),
            read_only: false,
            other_process: false,
            shared_process: false,
            reported: true,
            write_refused: Some("cannot execute in a read-only transaction".into()),
            limit_refused: None,
            role_refused: None,
            catalogue: Ok((10, 3, 0)),
        }
    }

    fn state(probed: &Probed, about: &str) -> LayerState {
        probed.findings().into_iter().find(|it| it.about == about).unwrap().state
    }

    #[test]
    fn a_server_that_is_prepared_holds_in_every_layer() {
        assert!(
            good().findings().iter().all(|it| it.state == LayerState::Holds && it.remedy.is_none())
        );
    }

    #[test]
    fn whatever_is_missing_is_said_with_what_to_do() {
        type Broken = fn(&mut Probed);
        let broken: &[(&str, Broken)] = &[
            ("sessions' role", |it| it.role = None),
            ("sessions' role", |it| it.role_refused = Some("permission denied".into())),
            ("sessions' role", |it| it.declared = None),
            ("login", |it| it.server.login_attributes.superuser = true),
            ("login", |it| it.server.login_reaches = vec!["pg_execute_server_program".into()]),
            ("least privilege", |it| {
                role(it).attributes = Attributes { createrole: true, ..Attributes::default() }
            }),
            ("least privilege", |it| role(it).memberships = vec!["app".into()]),
            ("least privilege", |it| role(it).owns = 1),
            ("rights", |it| role(it).strong = vec!["public.t".into()]),
            ("rights", |it| role(it).creates = vec!["schema public".into()]),
            ("reach", |it| role(it).reaching = vec!["dblink_exec".into()]),
            ("default reported", |it| it.reported = false),
            ("writes refused", |it| it.write_refused = None),
            ("catalogue", |it| it.catalogue = Err("no".into())),
            ("rows counted", |it| it.server.track_counts = "off".into()),
            ("every row seen", |it| it.server.hidden = vec!["public.t".into()]),
            ("every row seen", |it| it.server.unreadable = vec!["public.t".into()]),
            ("start-up options", |it| it.server.lock_timeout = "0".into()),
            ("pooler", |it| it.shared_process = true),
            ("time limits", |it| it.limit_refused = Some("no".into())),
            ("connections", |it| it.server.used = 95),
            ("connections", |it| it.server.login_limit = 2),
        ];
        for (about, break_it) in broken {
            let mut probed = good();
            break_it(&mut probed);
            let found = probed.findings().into_iter().find(|it| it.about == *about).unwrap();
            assert_eq!(found.state, LayerState::Missing, "{about}: {found:?}");
            assert!(found.remedy.is_some(), "{about}");
        }
    }

    fn role(probed: &mut Probed) -> &mut SeenRole {
        probed.role.as_mut().unwrap()
    }

    #[test]
    fn a_gap_that_another_layer_closes_is_said_and_counts() {
        let mut probed = good();
        probed.server.login_owns = 3;
        probed.other_process = true;
        role(&mut probed).definers = vec!["public.f()".into()];
        for about in ["login", "pooler", "functions"] {
            assert_eq!(state(&probed, about), LayerState::InPart, "{about}");
        }
        probed.read_only = true;
        role(&mut probed).changes = 2;
        assert_eq!(state(&probed, "rights"), LayerState::Missing);
    }
}
