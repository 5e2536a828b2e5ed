//! Settings: what a session may set for itself, and what is the gateway's or the server's.

use super::{Judge, object};
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

/// Settings that only make things stricter when they are set to these values.
const STRICTER: &[(&str, &[&str])] = &[
    ("default_transaction_read_only", &["on", "true", "1", "yes"]),
    ("transaction_read_only", &["on", "true", "1", "yes"]),
    ("standard_conforming_strings", &["on", "true", "1", "yes"]),
    ("backslash_quote", &["safe_encoding", "off"]),
    ("row_security", &["on", "true", "1", "yes"]),
];

impl Judge<'_> {
    /// Judges setting one setting of the session; `value` is `None` for its default or what is not known.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) {
        let name = name.to_ascii_lowercase();
        let it = object("setting", name.clone());
        self.kind = Kind::Session { settings: vec![name.clone()] };
        let utf8 = |value: &str| {
            value.eq_ignore_ascii_case("utf8")
                || value.eq_ignore_ascii_case("utf-8")
                || value.eq_ignore_ascii_case("unicode")
        };
        let encoding = matches!(name.as_str(), "client_encoding" | "names");
        if encoding && !value.is_none_or(utf8) {
            return self.administers(
                Group::Setting,
                it,
                "in another encoding a text could mean something else",
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
        let kind = self.kind.clone();
        match name {
            Some(name) => self.set(&name, value.as_deref()),
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
