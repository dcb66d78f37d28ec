//! The functions of the servers that do more than read.
//!
//! They are those of PostgreSQL 18, MySQL 9, MariaDB 12 and SQLite 3.50, of the extensions that come with
//! these, and of a few more. A list has the beginnings of names in place of many names.

use super::not_a_read::NotARead;
use super::tokens::Dialect;

/// The functions of one system.
struct Functions {
    writing: &'static [&'static str],
    /// The beginnings of names.
    writing_all: &'static [&'static str],
    locking: &'static [&'static str],
    locking_all: &'static [&'static str],
    /// They occupy a connection for as long as their arguments say.
    waiting: &'static [&'static str],
}

/// The best known ones, which are refused for all systems.
const ANY: Functions = Functions {
    writing: &["NEXTVAL", "PG_NOTIFY", "SETVAL", "SET_CONFIG"],
    writing_all: &[],
    locking: &["GET_LOCK", "RELEASE_ALL_LOCKS", "RELEASE_LOCK"],
    locking_all: &["PG_ADVISORY_", "PG_TRY_ADVISORY_"],
    waiting: &[],
};

/// <https://www.postgresql.org/docs/18/functions-admin.html>,
/// <https://www.postgresql.org/docs/18/functions-sequence.html>,
/// <https://www.postgresql.org/docs/18/lo-funcs.html>,
/// <https://www.postgresql.org/docs/18/monitoring-stats.html>,
/// <https://www.postgresql.org/docs/18/functions-xml.html> and
/// <https://www.postgresql.org/docs/18/textsearch-features.html> (those that run a text),
/// <https://www.postgresql.org/docs/18/contrib.html>
const POSTGRES: Functions = Functions {
    writing: &[
        "BRIN_DESUMMARIZE_RANGE",
        "BRIN_SUMMARIZE_NEW_VALUES",
        "BRIN_SUMMARIZE_RANGE",
        "CURSOR_TO_XML",
        "CURSOR_TO_XMLSCHEMA",
        "GIN_CLEAN_PENDING_LIST",
        "HEAP_FORCE_FREEZE",
        "HEAP_FORCE_KILL",
        "LOREAD",
        "LOWRITE",
        "PG_BACKUP_START",
        "PG_BACKUP_STOP",
        "PG_CANCEL_BACKEND",
        "PG_EXPORT_SNAPSHOT",
        "PG_EXTENSION_CONFIG_DUMP",
        "PG_IMPORT_SYSTEM_COLLATIONS",
        "PG_LOG_BACKEND_MEMORY_CONTEXTS",
        "PG_LOG_STANDBY_SNAPSHOT",
        "PG_LOGICAL_EMIT_MESSAGE",
        "PG_NEXTOID",
        "PG_PROMOTE",
        "PG_RELOAD_CONF",
        "PG_REPLICATION_ORIGIN_ADVANCE",
        "PG_REPLICATION_ORIGIN_CREATE",
        "PG_REPLICATION_ORIGIN_DROP",
        "PG_REPLICATION_ORIGIN_SESSION_RESET",
        "PG_REPLICATION_ORIGIN_SESSION_SETUP",
        "PG_REPLICATION_SLOT_ADVANCE",
        "PG_ROTATE_LOGFILE",
        "PG_ROTATE_LOGFILE_OLD",
        "PG_START_BACKUP",
        "PG_STAT_CLEAR_SNAPSHOT",
        "PG_STAT_FORCE_NEXT_FLUSH",
        "PG_STOP_BACKUP",
        "PG_STOP_MAKING_PINNED_OBJECTS",
        "PG_SYNC_REPLICATION_SLOTS",
        "PG_TERMINATE_BACKEND",
        "PG_TRUNCATE_VISIBILITY_MAP",
        "SETSEED",
        "SET_LIMIT",
        "TS_REWRITE",
        "TS_STAT",
    ],
    writing_all: &[
        "BINARY_UPGRADE_",
        "DBLINK",
        "LO_",
        "PG_CLEAR_",
        "PG_COPY_",
        "PG_CREATE_",
        "PG_DROP_",
        "PG_FILE_",
        "PG_LOGICAL_SLOT_GET_",
        "PG_REPLICATION_ORIGIN_XACT_",
        "PG_RESTORE_",
        "PG_STAT_RESET",
        "PG_STAT_STATEMENTS_RESET",
        "PG_SWITCH_",
        "PG_WAL_REPLAY_",
        "PG_XLOG_REPLAY_",
        "POSTGRES_FDW_DISCONNECT",
        "QUERY_TO_XML",
    ],
    locking: &[],
    locking_all: &[],
    waiting: &[],
};

/// <https://dev.mysql.com/doc/refman/9.4/en/built-in-function-reference.html>,
/// <https://dev.mysql.com/doc/refman/9.4/en/loadable-function-reference.html>,
/// <https://mariadb.com/docs/server/reference/sql-functions>
const MYSQL: Functions = Functions {
    writing: &["SYS_EVAL", "SYS_EXEC", "SYS_SET"],
    writing_all: &[
        "ASYNCHRONOUS_CONNECTION_FAILOVER_",
        "AUDIT_API_MESSAGE_",
        "AUDIT_LOG_",
        "FIREWALL_GROUP_",
        "GROUP_REPLICATION_",
        "KEYRING_KEY_",
        "MASKING_DICTIONARY_",
        "MASKING_DICTIONARIES_",
        "MYSQL_FIREWALL_",
        "READ_FIREWALL_",
        "SET_FIREWALL_",
        "SPIDER_",
        "VERSION_TOKENS_",
    ],
    locking: &[],
    locking_all: &["SERVICE_"],
    waiting: &[
        "BENCHMARK",
        "MASTER_GTID_WAIT",
        "MASTER_POS_WAIT",
        "SLEEP",
        "SOURCE_POS_WAIT",
        "WAIT_FOR_EXECUTED_GTID_SET",
        "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
    ],
};

/// <https://sqlite.org/lang_corefunc.html>, <https://sqlite.org/cli.html> (the functions of its shell)
const SQLITE: Functions = Functions {
    writing: &[
        "EDIT",
        "EVAL",
        "FTS3_TOKENIZER",
        "LOAD_EXTENSION",
        "WRITEFILE",
    ],
    writing_all: &[],
    locking: &[],
    locking_all: &[],
    waiting: &[],
};

/// The reason why a function of this name cannot be part of a read, if there is one.
pub(super) fn refused(name: &str, dialect: Dialect) -> Option<NotARead> {
    let own = match dialect {
        Dialect::Postgres => POSTGRES,
        Dialect::MySql => MYSQL,
        Dialect::Sqlite => SQLITE,
    };
    [ANY, own].iter().find_map(|functions| {
        let writes = one_of(functions.writing, name).or(beginning(functions.writing_all, name));
        let locks = || one_of(functions.locking, name).or(beginning(functions.locking_all, name));
        let waits = || one_of(functions.waiting, name).map(NotARead::Waits);
        (writes.map(NotARead::Writes))
            .or_else(|| locks().map(NotARead::Locks))
            .or_else(waits)
    })
}

/// The element of `words` that equals this word, in any case of letters.
pub(super) fn one_of(words: &[&'static str], word: &str) -> Option<&'static str> {
    (words.iter().copied()).find(|of| of.eq_ignore_ascii_case(word))
}

fn beginning(beginnings: &[&'static str], name: &str) -> Option<&'static str> {
    (beginnings.iter().copied()).find(|beginning| {
        (name.get(..beginning.len())).is_some_and(|of| of.eq_ignore_ascii_case(beginning))
    })
}
