//! The server's own books: a statement that changed anything was given a transaction's number, and what it changed
//! is in the log under that number. Nothing else runs at the server, so that whatever is there was the statement's.

use killick_testkit::postgres::Client;

/// A second connection that looks.
pub struct Oracle {
    client: Client,
}

/// What the books say at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// Where the log ends.
    log: String,
    /// The next transaction's number that nobody has used up.
    next: String,
    /// The number of the watched session's open transaction.
    open: String,
}

/// What a statement left in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrote {
    /// Kinds of entries of the log that belong to a transaction; empty where only a number was used up, as for
    /// temporary and unlogged tables.
    pub log: String,
}

impl Oracle {
    pub fn new(url: &str) -> Self {
        Self { client: Client::connect(url).unwrap() }
    }

    pub fn look(&mut self, process: u32) -> Books {
        let sql = format!(
            "SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot()),
               (SELECT backend_xid FROM pg_stat_activity WHERE pid = {process})"
        );
        let mut row = self.client.query(&sql).unwrap().rows.remove(0).into_iter();
        let mut next = || row.next().flatten().unwrap_or_default();
        Books { log: next(), next: next(), open: next() }
    }

    /// Compares with the books before a statement.
    pub fn wrote(&mut self, process: u32, before: &Books) -> Option<Wrote> {
        let after = self.look(process);
        let numbered = after.next != before.next || after.open != before.open;
        if after.log == before.log && !numbered {
            return None;
        }
        let mut log = String::new();
        if after.log != before.log {
            // A commit of our own with something to lose brings the log to where it can be read.
            let _ = self.client.query("SELECT pg_logical_emit_message(true, 'look', '')").unwrap();
            // Entries without a number: pages that reads tidied up, checkpoints.
            let sql = format!(
                "SELECT coalesce(string_agg(DISTINCT resource_manager || '/' || record_type, ' '), '')
                 FROM pg_get_wal_records_info('{}', '{}') WHERE xid::text <> '0'",
                before.log, after.log
            );
            let answer = self.client.query(&sql).unwrap();
            // What cannot be read counts as written.
            log = answer.errors.first().map_or_else(|| answer.value(), |it| it.message.clone());
        }
        (numbered || !log.is_empty()).then_some(Wrote { log })
    }
}
