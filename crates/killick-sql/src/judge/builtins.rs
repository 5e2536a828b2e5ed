//! What the server's and the extensions' own functions do, where their volatility does not say it.

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Reads, or computes.
    Read,
    /// Reads, and takes a lock or another hold that lasts for the session at the most.
    ReadGuarded,
    /// Reads a file of the server.
    ReadFile,
    /// Writes something small.
    Write,
    /// Writes a large object.
    LargeWrite,
    /// Removes or cuts a large object.
    LargeDestroy,
    /// Removes or overwrites.
    Destroy,
    /// Changes the server's own state, or other sessions.
    Administer,
    /// Tells another server something.
    Remote,
    /// Tells other sessions something.
    Notify,
    /// Runs SQL that stands in its arguments.
    RunsSql,
    /// Nobody can say.
    Unknown,
}

/// Volatile functions of the server that read.
const READ: &[&str] = &[
    "amvalidate",
    "bernoulli",
    "system",
    "clock_timestamp",
    "current_query",
    "currtid2",
    "currval",
    "lastval",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "random",
    "random_normal",
    "setseed",
    "timeofday",
    "lo_get",
    "lo_lseek",
    "lo_lseek64",
    "lo_tell",
    "lo_tell64",
    "lo_close",
    "loread",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_current_logfile",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_get_backend_memory_contexts",
    "pg_get_multixact_members",
    "pg_get_shmem_allocations",
    "pg_get_wal_replay_pause_state",
    "pg_get_wal_resource_managers",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_isolation_test_session_is_blocked",
    "pg_jit_available",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_logical_slot_peek_binary_changes",
    "pg_logical_slot_peek_changes",
    "pg_notification_queue_usage",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_prepared_xact",
    "pg_relation_size",
    "pg_replication_origin_progress",
    "pg_replication_origin_session_is_setup",
    "pg_replication_origin_session_progress",
    "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value",
    "pg_show_all_file_settings",
    "pg_show_replication_origin_status",
    "pg_stat_clear_snapshot",
    "pg_stat_force_next_flush",
    "pg_stat_get_recovery_prefetch",
    "pg_stat_have_stats",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin",
    "pg_xact_status",
    "txid_status",
    "txid_current",
    "pg_current_xact_id",
    "dsnowball_init",
    "dsnowball_lexize",
    "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit",
    "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time",
    "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans",
    "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched",
    "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted",
    "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_available_extensions",
    "pg_get_replication_slots",
];

/// Functions that hold something or take their time.
const READ_GUARDED: &[&str] = &[
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_export_snapshot",
    "lo_open",
];

/// Functions that show the server's files.
const READ_FILE: &[&str] = &[
    "pg_read_file",
    "pg_read_binary_file",
    "pg_read_file_old",
    "pg_stat_file",
    "pg_ls_dir",
    "pg_ls_logdir",
    "pg_ls_waldir",
    "pg_ls_tmpdir",
    "pg_ls_archive_statusdir",
    "pg_ls_logicalmapdir",
    "pg_ls_logicalsnapdir",
    "pg_ls_replslotdir",
    "pg_ls_summariesdir",
];

const WRITE: &[&str] = &[
    "nextval",
    "gin_clean_pending_list",
    "brin_summarize_new_values",
    "brin_summarize_range",
    "brin_desummarize_range",
    "pg_import_system_collations",
    "pg_logical_emit_message",
    "pg_nextoid",
];

const LARGE_WRITE: &[&str] = &["lo_creat", "lo_create", "lo_from_bytea", "lo_import"];

const LARGE_DESTROY: &[&str] = &["lo_unlink", "lo_truncate", "lo_truncate64", "lo_put", "lowrite"];

const DESTROY: &[&str] = &[
    "setval",
    "pg_logical_slot_get_changes",
    "pg_logical_slot_get_binary_changes",
    "pg_drop_replication_slot",
];

const RUNS_SQL: &[&str] = &[
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "cursor_to_xml",
    "cursor_to_xmlschema",
];

/// Volatile functions of the server that change its state or other sessions.
const ADMINISTER: &[&str] = &[
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_rotate_logfile_old",
    "pg_switch_wal",
    "pg_create_restore_point",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_promote",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "pg_stat_reset",
    "pg_stat_reset_shared",
    "pg_stat_reset_slru",
    "pg_stat_reset_single_table_counters",
    "pg_stat_reset_single_function_counters",
    "pg_stat_reset_replication_slot",
    "pg_stat_reset_subscription_stats",
    "pg_stat_reset_backend_stats",
    "pg_create_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot",
    "pg_replication_slot_advance",
    "pg_replication_origin_advance",
    "pg_replication_origin_create",
    "pg_replication_origin_drop",
    "pg_replication_origin_session_reset",
    "pg_replication_origin_session_setup",
    "pg_replication_origin_xact_reset",
    "pg_replication_origin_xact_setup",
    "pg_log_backend_memory_contexts",
    "pg_extension_config_dump",
    "pg_stop_making_pinned_objects",
    "pg_sync_replication_slots",
    "lo_export",
    "pg_clear_relation_stats",
    "pg_restore_relation_stats",
    "pg_clear_attribute_stats",
    "pg_restore_attribute_stats",
];

/// Returns what a function of `pg_catalog` does; `None` leaves it to its volatility.
pub(crate) fn of_server(name: &str) -> Option<Does> {
    let tables = [
        (READ, Does::Read),
        (READ_GUARDED, Does::ReadGuarded),
        (READ_FILE, Does::ReadFile),
        (WRITE, Does::Write),
        (LARGE_WRITE, Does::LargeWrite),
        (LARGE_DESTROY, Does::LargeDestroy),
        (DESTROY, Does::Destroy),
        (RUNS_SQL, Does::RunsSql),
        (ADMINISTER, Does::Administer),
    ];
    if name == "pg_notify" {
        return Some(Does::Notify);
    }
    if name.starts_with("binary_upgrade_") {
        return Some(Does::Administer);
    }
    tables.iter().find(|(names, _)| names.contains(&name)).map(|(_, does)| *does)
}

/// Extensions whose functions compute and nothing else, unless they are volatile.
const PURE: &[&str] = &[
    "pgcrypto",
    "hstore",
    "citext",
    "ltree",
    "intarray",
    "pg_trgm",
    "unaccent",
    "uuid-ossp",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "isn",
    "btree_gin",
    "btree_gist",
    "vector",
    "postgis",
    "tablefunc",
    "bloom",
    "seg",
    "lo",
    "dict_int",
    "dict_xsyn",
    "tcn",
    "plpgsql",
    "pg_stat_statements",
    "postgres_fdw",
    "file_fdw",
];

/// Returns whether an extension's functions compute and nothing else, unless they are volatile.
pub(crate) fn is_pure_extension(name: Option<&str>) -> bool {
    name.is_some_and(|it| PURE.contains(&it))
}

/// Returns what a function of an extension does, where it is known by name.
pub(crate) fn of_extension(extension: &str, name: &str) -> Option<Does> {
    match extension {
        "dblink" => Some(match name {
            "dblink_get_connections"
            | "dblink_error_message"
            | "dblink_get_pkey"
            | "dblink_is_busy"
            | "dblink_current_query" => Does::Read,
            _ => Does::Remote,
        }),
        "adminpack" => Some(match name {
            "pg_logdir_ls" | "pg_file_read" | "pg_file_length" => Does::ReadFile,
            _ => Does::Administer,
        }),
        "lo" => Some(match name {
            "lo_manage" => Does::LargeDestroy,
            _ => Does::Read,
        }),
        "tablefunc" => Some(match name {
            "normal_rand" => Does::Read,
            _ => Does::RunsSql,
        }),
        "pgcrypto" | "uuid-ossp" => Some(Does::Read),
        "pg_stat_statements" => Some(match name {
            "pg_stat_statements_reset" => Does::Administer,
            _ => Does::Read,
        }),
        "xml2" => Some(match name {
            "xpath_table" => Does::RunsSql,
            _ => Does::Unknown,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_stands_in_two_tables() {
        let all = [
            READ,
            READ_GUARDED,
            READ_FILE,
            WRITE,
            LARGE_WRITE,
            LARGE_DESTROY,
            DESTROY,
            RUNS_SQL,
            ADMINISTER,
        ];
        let mut names: Vec<&str> = all.iter().flat_map(|it| it.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
