//! Settings: what a session may set for itself, and what is the gateway's or the server's.

use pg_raw_parse::raw::VariableSetKind;
use pg_raw_parse::{Node, nodes};

use super::expression::text_constant;
use super::{Judge, names, object};
use crate::judged::{Group, Kind};

/// Settings that a session may change for itself: they change how things look or how long they may take, never
/// what may be done or what a text means.
const FREE: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_min_messages",
    "constraint_exclusion",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "datestyle",
    "default_statistics_target",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "effective_cache_size",
    "effective_io_concurrency",
    "escape_string_warning",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "geqo_threshold",
    "gin_fuzzy_search_limit",
    "hash_mem_multiplier",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "random_page_cost",
    "search_path",
    "seq_page_cost",
    "temp_buffers",
    "timezone",
    "time zone",
    "transaction_deferrable",
    "transaction_isolation",
    "work_mem",
    "xmlbinary",
    "xmloption",
    "seed",
    "parallel_leader_participation",
    "enable_seqscan",
    "enable_indexscan",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_sort",
    "enable_hashagg",
    "enable_material",
    "enable_tidscan",
    "enable_indexonlyscan",
    "enable_memoize",
    "enable_partitionwise_join",
    "enable_partitionwise_aggregate",
    "enable_parallel_hash",
    "enable_parallel_append",
    "enable_partition_pruning",
    "enable_incremental_sort",
    "enable_gathermerge",
    "debug_print_plan",
    "check_function_bodies",
    "default_text_search_config",
    "default_table_access_method",
    "default_toast_compression",
    "quote_all_identifiers",
    "client_encoding",
    "names",
    "synchronous_commit",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
];

/// Words for a setting that is on.
const ON: &[&str] = &["on", "true", "1", "yes"];

/// Settings that only make things stricter when they are set to these values.
const STRICTER: &[(&str, &[&str])] = &[
    ("default_transaction_read_only", ON),
    ("transaction_read_only", ON),
    ("standard_conforming_strings", ON),
    ("backslash_quote", &["safe_encoding", "off"]),
    ("row_security", ON),
];

/// The longest that the gateway lets a session of a database set for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingLimits {
    /// `statement_timeout`, in milliseconds.
    pub statement_millis_max: u64,
    /// `lock_timeout`, in milliseconds.
    pub lock_millis_max: u64,
    /// `idle_in_transaction_session_timeout`, in milliseconds.
    pub idle_millis_max: u64,
}

impl SettingLimits {
    /// Returns the longest of a setting, where it has one.
    fn of(self, setting: &str) -> Option<u64> {
        match setting {
            "statement_timeout" => Some(self.statement_millis_max),
            "lock_timeout" => Some(self.lock_millis_max),
            "idle_in_transaction_session_timeout" => Some(self.idle_millis_max),
            _ => None,
        }
    }
}

/// What a setting is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetTo<'a> {
    /// The session's default, which is the gateway's.
    Default,
    /// A value that stands in the text.
    Text(&'a str),
    /// A value that only shows when it runs.
    Unknown,
}

/// Returns a time limit in milliseconds as the server reads it; `None` for what is none, or for no limit at all.
/// Less than a millisecond counts as none: the server may round it to nothing.
fn limit_millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits_end)?;
    let micros_of_one = match unit.trim_start() {
        "us" => 1_u64,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    // A leading zero makes a number octal at the server.
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || part.contains('.') {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    // Rounded up: what is a little over the limit is over it.
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    let micros = whole.saturating_add(more).checked_mul(micros_of_one)?;
    let least = whole.checked_mul(micros_of_one)?;
    (least >= 1_000).then_some(micros.div_ceil(1_000))
}

/// Where a statement leads the search path.
pub(crate) enum PathSet {
    /// To these schemas.
    To(Vec<String>),
    /// Back to where the session began.
    Back,
}

/// Returns where a statement leads the search path, where its text says so and it lasts beyond the statement.
pub(crate) fn path_set(node: Node<'_>, role: &str) -> Option<PathSet> {
    let named = |schema: String| if schema == "$user" { role.to_owned() } else { schema };
    let it = match node {
        Node::VariableSetStmt(it) => it,
        Node::SelectStmt(select) => {
            let path = path_configured(select)?;
            let schemas = path.split(',').map(|it| it.trim().trim_matches('"'));
            let schemas = schemas.filter(|it| !it.is_empty()).map(|it| named(it.to_owned()));
            return Some(PathSet::To(schemas.collect()));
        }
        _ => return None,
    };
    if !it.name().is_some_and(|name| name.eq_ignore_ascii_case("search_path")) {
        return None;
    }
    match it.kind {
        VariableSetKind::VAR_SET_VALUE => {
            let schemas: Option<Vec<String>> = it.args().iter().map(text_constant).collect();
            // `SET search_path = 'a, b'` names one schema of that name.
            schemas.map(|all| PathSet::To(all.into_iter().map(named).collect()))
        }
        VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => Some(PathSet::Back),
        _ => None,
    }
}

/// Returns the path of a `SELECT set_config('search_path', …, …)`, as dumps begin.
fn path_configured(select: &nodes::SelectStmt) -> Option<String> {
    let mut targets = select.target_list().iter();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return None;
    };
    let Node::FuncCall(call) = target.val() else { return None };
    let name = names(call.funcname()).pop()?;
    let constants: Vec<String> =
        call.args().iter().map(text_constant).collect::<Option<Vec<_>>>()?;
    match constants.as_slice() {
        [setting, path, _]
            if name == "set_config" && setting.eq_ignore_ascii_case("search_path") =>
        {
            Some(path.clone())
        }
        _ => None,
    }
}

impl Judge<'_> {
    /// Judges setting one setting of the session.
    pub(crate) fn set(&mut self, name: &str, to: SetTo<'_>) {
        let value = match to {
            SetTo::Text(text) => Some(text),
            SetTo::Default | SetTo::Unknown => None,
        };
        let name = name.to_ascii_lowercase();
        let it = object("setting", name.clone());
        let on = value.is_some_and(|value| ON.iter().any(|it| it.eq_ignore_ascii_case(value)));
        let reads_only = (name == "default_transaction_read_only").then_some(on);
        self.kind = Kind::Session { settings: vec![name.clone()], reads_only };
        let utf8 = |value: &str| {
            value.eq_ignore_ascii_case("utf8")
                || value.eq_ignore_ascii_case("utf-8")
                || value.eq_ignore_ascii_case("unicode")
        };
        let encoding = matches!(name.as_str(), "client_encoding" | "names");
        if encoding && to != SetTo::Default && !value.is_some_and(utf8) {
            return self.administers(
                Group::Setting,
                it,
                "in another encoding a text could mean something else",
            );
        }
        let limit = self.state.limits.and_then(|limits| limits.of(&name));
        if let Some(most) = limit
            && to != SetTo::Default
            && value.and_then(limit_millis).is_none_or(|millis| millis > most)
        {
            return self.administers(
                Group::Setting,
                it,
                &format!("the gateway's own limit is {most} ms, and a session stays below it"),
            );
        }
        let stricter = STRICTER.iter().any(|(setting, values)| {
            *setting == name
                && value.is_some_and(|value| values.iter().any(|it| it.eq_ignore_ascii_case(value)))
        });
        // A setting with a dot belongs to an application or an extension; nothing is known of those that do more.
        let own = name.contains('.')
            && !name.starts_with("pg_")
            && !name.starts_with("plpgsql.")
            && !name.starts_with("auto_explain.");
        if FREE.contains(&name.as_str()) || stricter || own {
            self.touch(
                Group::Setting,
                killick_model::Effect::READ,
                false,
                it,
                "a setting of the session itself",
            );
        } else {
            self.administers(
                Group::Setting,
                it,
                "the setting changes what may be done, or what is recorded",
            );
        }
    }

    /// Judges `set_config`: by its constant name, or as what nobody can say.
    pub(crate) fn set_config(&mut self, constants: &[Option<String>]) {
        let name = constants.first().cloned().flatten();
        let value = constants.get(1).cloned().flatten();
        let to = value.as_deref().map_or(SetTo::Unknown, SetTo::Text);
        let kind = self.kind.clone();
        match name {
            Some(name) => self.set(&name, to),
            None => {
                self.unrecognized("`set_config` of a setting whose name only shows when it runs");
            }
        }
        let changed = std::mem::replace(&mut self.kind, kind);
        if self.kind == Kind::Plain {
            self.kind = changed;
        }
        self.plain = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::judge::{SessionState, judge, judge_all};
    use crate::script;

    #[test]
    fn a_time_limit_is_read_as_the_server_reads_it() {
        for (text, millis) in [
            ("5000", Some(5_000)),
            (" 5s ", Some(5_000)),
            ("1min", Some(60_000)),
            ("2 h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("2000us", Some(2)),
            ("1.5s", Some(2_000)),
            ("0", None),
            ("0s", None),
            ("0.4", None),
            ("900us", None),
            ("-1", None),
            ("", None),
            ("5m", None),
            ("0x1388", None),
            ("010", None),
            ("1e9", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(limit_millis(text), millis, "{text}");
        }
    }

    /// A catalogue with nothing but `set_config` and `current_user` beside.
    fn catalogue() -> Catalogue {
        Catalogue::default()
    }

    fn word(text: &str, limits: Option<SettingLimits>) -> &'static str {
        let state = SessionState { limits, ..SessionState::default() };
        let script = script::parse(text).unwrap();
        let judged = judge(&script, 0, &catalogue(), &state);
        let effects = judged.touches.iter().map(|it| it.effect);
        effects.reduce(killick_model::Effect::join).unwrap().word().as_str()
    }

    #[test]
    fn a_session_does_not_lift_the_gateways_limits() {
        let limits = SettingLimits {
            statement_millis_max: 300_000,
            lock_millis_max: 5_000,
            idle_millis_max: 60_000,
        };
        for (text, expected) in [
            ("SET statement_timeout = 1000", "read"),
            ("SET statement_timeout = '5min'", "read"),
            ("SET LOCAL lock_timeout TO '100ms'", "read"),
            ("RESET statement_timeout", "read"),
            ("SET statement_timeout TO DEFAULT", "read"),
            ("SELECT set_config('lock_timeout', '50', true)", "read"),
            ("SET statement_timeout = 0", "administer"),
            ("SET LOCAL statement_timeout = '6min'", "administer"),
            ("SET Lock_Timeout = '1h'", "administer"),
            ("SET SESSION idle_in_transaction_session_timeout = '2 min'", "administer"),
            ("SELECT set_config('statement_timeout', '0', false)", "administer"),
            ("SELECT set_config('lock_timeout', current_user, false)", "administer"),
            ("SELECT set_config('client_encoding', current_user, false)", "administer"),
        ] {
            assert_eq!(word(text, Some(limits)), expected, "{text}");
        }
        // Where nobody knows the limits a session's own time is its own.
        assert_eq!(word("SET statement_timeout = 0", None), "read");
    }

    #[test]
    fn a_session_that_wants_only_to_read_is_known_until_it_takes_that_back() {
        let mut state = SessionState::default();
        for (text, wants) in [
            ("SET TRANSACTION READ ONLY", false),
            ("SET LOCAL default_transaction_read_only = on", false),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", true),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", true),
            ("SET search_path = public", true),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", false),
            ("SET default_transaction_read_only TO 'on'", true),
            ("RESET default_transaction_read_only", false),
            ("SET default_transaction_read_only = true", true),
            ("DISCARD ALL", false),
        ] {
            let script = script::parse(text).unwrap();
            for judged in judge_all(&script, &Catalogue::default(), &state) {
                state.apply(&judged);
            }
            assert_eq!(state.reads_only, wants, "{text}");
        }
    }
}
