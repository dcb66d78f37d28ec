//! What a text does to the transaction of its connection.

use crate::cache::tokens::{Dialect, Token, Tokens};
use crate::pool::session::System;

/// The words with which a statement begins or ends a transaction or a savepoint.
const WORDS: [&str; 11] = [
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "START",
    "XA",
];

/// The statements with which MySQL and MariaDB commit an open transaction, or may:
/// <https://dev.mysql.com/doc/refman/9.4/en/implicit-commit.html>,
/// <https://mariadb.com/docs/server/reference/sql-statements/transactions/sql-statements-that-cause-an-implicit-commit>.
/// A procedure may contain any of them.
const COMMIT_IMPLICITLY: [&str; 23] = [
    "ALTER", "ANALYZE", "BEGIN", "CACHE", "CALL", "CHANGE", "CHECK", "CREATE", "DROP", "EXECUTE",
    "FLUSH", "GRANT", "INSTALL", "LOAD", "LOCK", "OPTIMIZE", "RENAME", "REPAIR", "RESET", "REVOKE",
    "START", "TRUNCATE", "UNLOCK",
];

/// What a text does to the transaction of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// One of its statements commits a transaction.
    pub(crate) commits: bool,
    /// One of its statements ends a transaction.
    pub(crate) ends: bool,
    /// Whether a transaction is open after it; `None`: as before.
    pub(crate) leaves_open: Option<bool>,
    /// It may have committed the open transaction, as some statements of MySQL do. A transaction that it
    /// prepared may be committed on another connection.
    pub(crate) may_commit: bool,
    /// Whether each statement commits after it, as is usual; `None`: as before. If not, a transaction is
    /// always open.
    pub(crate) autocommit: Option<bool>,
    /// The savepoints of SQLite that it begins, less those that it releases. There, a savepoint outside a
    /// transaction begins one.
    pub(crate) savepoints: i32,
    /// Its first statement ends a transaction or a savepoint, and so releases locks. On SQLite, the
    /// `RELEASE` of an outermost savepoint is a commit.
    pub(crate) releases: bool,
    /// It begins a transaction before it ends one.
    pub(crate) begins: bool,
    /// It only begins a transaction or rolls it back, or to a savepoint.
    pub(crate) is_trivial: bool,
}

impl Effect {
    /// The effect of a text. `system`: that of the server; SQLite has none.
    pub(crate) fn of(sql: &str, system: Option<System>) -> Self {
        let dialect = match system {
            Some(System::Postgres) => Dialect::Postgres,
            Some(System::MySql) => Dialect::MySql,
            None => Dialect::Sqlite,
        };
        let mut effect = Self::default();
        let mut statements = 0;
        let mut is_trivial = true;
        let mut tokens = Tokens::of(sql, dialect);
        // A text that cannot be parsed is treated as one without an effect.
        while let Ok(Some(first)) = tokens.next() {
            if first == Token::Sign(';') {
                continue;
            }
            statements += 1;
            effect.releases |= statements == 1
                && (first.is_one_of(&["ABORT", "COMMIT", "RELEASE", "ROLLBACK"])
                    || is_end(first, dialect));
            is_trivial &= first.is_one_of(&["ABORT", "BEGIN", "ROLLBACK", "SAVEPOINT", "START"]);
            effect.may_commit |= dialect == Dialect::MySql && first.is_one_of(&COMMIT_IMPLICITLY);
            if first.is_one_of(&WORDS) {
                effect.then(first, &mut tokens, dialect);
            } else if statements == 1 && !sql.contains(';') {
                break; // most statements
            } else {
                while let Ok(Some(token)) = tokens.next()
                    && token != Token::Sign(';')
                {}
            }
        }
        effect.is_trivial = is_trivial && statements == 1;
        effect
    }

    /// Adds the effect of the statement that begins with this word.
    fn then(&mut self, first: Token<'_>, tokens: &mut Tokens<'_>, dialect: Dialect) {
        let (mut to_savepoint, mut chains, mut is_no) = (false, false, false);
        let mut autocommit = None;
        let mut second = None;
        while let Ok(Some(token)) = tokens.next()
            && token != Token::Sign(';')
        {
            to_savepoint |= token.is("TO");
            chains |= token.is("CHAIN") && !is_no;
            is_no = token.is("NO");
            if token.is("AUTOCOMMIT") {
                autocommit = Some(None);
            } else if autocommit == Some(None) && !matches!(token, Token::Sign('=' | ':')) {
                autocommit = Some(Some(token));
            }
            second.get_or_insert(token);
        }
        let second_is = |words: &[&str]| second.is_some_and(|second| second.is_one_of(words));
        let is_xa = first.is("XA") && dialect == Dialect::MySql;
        if first.is("BEGIN")
            || first.is("START") && second_is(&["TRANSACTION"])
            || is_xa && second_is(&["BEGIN", "START"])
        {
            self.begins |= self.leaves_open.is_none();
            self.leaves_open = Some(true);
            return;
        }
        if dialect == Dialect::Sqlite {
            self.savepoints += i32::from(first.is("SAVEPOINT")) - i32::from(first.is("RELEASE"));
        }
        if first.is("SET") && dialect == Dialect::MySql {
            self.may_commit |= second_is(&["PASSWORD"]);
            if let Some(value) = autocommit.flatten() {
                self.set_autocommit(value.is_one_of(&["1", "ON", "TRUE"]));
            }
        }
        let prepares =
            first.is("PREPARE") && dialect == Dialect::Postgres && second_is(&["TRANSACTION"])
                || is_xa && second_is(&["PREPARE"]);
        self.may_commit |= prepares;
        let commits =
            first.is("COMMIT") || is_end(first, dialect) || is_xa && second_is(&["COMMIT"]);
        let rolls_back = first.is_one_of(&["ABORT", "ROLLBACK"]) && !to_savepoint
            || is_xa && second_is(&["ROLLBACK"]);
        if commits || rolls_back {
            self.commits |= commits;
            self.ends = true;
            self.leaves_open = Some(chains);
        } else if prepares && !is_xa {
            self.ends = true;
            self.leaves_open = Some(false);
        }
    }

    /// The statement sets the variable. To set it to true commits.
    fn set_autocommit(&mut self, autocommit: bool) {
        self.autocommit = Some(autocommit);
        self.leaves_open = Some(!autocommit);
        self.commits |= autocommit;
        self.ends |= autocommit;
    }
}

/// In MySQL, `END` is the end of a block.
fn is_end(first: Token<'_>, dialect: Dialect) -> bool {
    first.is("END") && dialect != Dialect::MySql
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Option<System>; 3] = [Some(System::Postgres), Some(System::MySql), None];

    #[test]
    fn the_end_of_a_transaction_is_detected_by_its_first_word() {
        for sql in [
            "COMMIT",
            " rollback;",
            "End",
            "ABORT AND CHAIN",
            "RELEASE a",
            "/* trace=1 */ -- why\n COMMIT",
        ] {
            assert!(Effect::of(sql, None).releases, "{sql}");
        }
        for sql in ["", "SELECT 1", "COMMITTED", "-- COMMIT", "/* COMMIT", "é"] {
            assert!(!Effect::of(sql, None).releases, "{sql}");
        }
    }

    #[test]
    fn a_trivial_statement_does_nothing_else() {
        for system in ALL {
            for sql in [
                "BEGIN",
                "START TRANSACTION; ",
                "rollback",
                "ROLLBACK TO a",
                "SAVEPOINT a",
            ] {
                assert!(Effect::of(sql, system).is_trivial, "{sql}");
            }
            for sql in [
                "COMMIT",
                "BEGIN; DELETE FROM dish",
                "SELECT 1",
                "RELEASE a",
                "",
            ] {
                assert!(!Effect::of(sql, system).is_trivial, "{sql}");
            }
        }
    }

    #[test]
    fn a_text_leaves_a_transaction_open_or_ends_it() {
        let (open, closed) = (Some(true), Some(false));
        for system in ALL {
            for (sql, leaves_open, commits) in [
                ("BEGIN", open, false),
                ("start  transaction read only", open, false),
                (
                    "/* trace=1; */ BEGIN; INSERT INTO dish VALUES (1)",
                    open,
                    false,
                ),
                ("INSERT INTO dish VALUES (1); BEGIN", open, false),
                ("COMMIT; BEGIN", open, true),
                ("COMMIT AND CHAIN", open, true),
                ("Commit AND NO CHAIN;", closed, true),
                ("BEGIN; DELETE FROM dish; COMMIT", closed, true),
                ("ROLLBACK", closed, false),
                ("ROLLBACK; SELECT 1", closed, false),
                ("", None, false),
                ("INSERT INTO dish VALUES (1)", None, false),
                ("INSERT INTO dish VALUES ('; begin')", None, false),
                ("INSERT INTO dish VALUES ('; end')", None, false),
                ("ROLLBACK TO a", None, false),
                ("ROLLBACK WORK TO SAVEPOINT a", None, false),
                ("SAVEPOINT a", None, false),
                ("BEGINNING", None, false),
                ("START REPLICA", None, false),
            ] {
                let effect = Effect::of(sql, system);
                assert_eq!(
                    (effect.leaves_open, effect.commits),
                    (leaves_open, commits),
                    "{system:?}: {sql}"
                );
            }
        }
        let block = Effect::of("DO $$ BEGIN PERFORM 1; END $$", Some(System::Postgres));
        assert_eq!(block, Effect::default());
        assert!(Effect::of("END", None).commits);
        assert!(!Effect::of("END", Some(System::MySql)).commits);
    }

    #[test]
    fn only_mysql_commits_by_other_statements() {
        for sql in [
            "CREATE TABLE a (id int)",
            "TRUNCATE a",
            "SELECT 1; drop table a",
            "CALL p()",
        ] {
            for system in ALL {
                let may_commit = Effect::of(sql, system).may_commit;
                assert_eq!(may_commit, matches!(system, Some(System::MySql)), "{sql}");
            }
        }
        assert!(!Effect::of("UPDATE a SET b = 1", Some(System::MySql)).may_commit);
    }

    #[test]
    fn autocommit_is_set() {
        for (sql, autocommit) in [
            ("SET autocommit = 0", Some(false)),
            (
                "set @@session.AUTOCOMMIT := off, sql_mode = ''",
                Some(false),
            ),
            ("SET NAMES utf8mb4, autocommit=FALSE", Some(false)),
            ("SET autocommit = @before", Some(false)),
            ("SET autocommit=1", Some(true)),
            ("SET @a = 0", None),
            ("SELECT @@autocommit = 0", None),
        ] {
            let effect = Effect::of(sql, Some(System::MySql));
            let open = autocommit.map(|autocommit: bool| !autocommit);
            assert_eq!(
                (effect.autocommit, effect.leaves_open),
                (autocommit, open),
                "{sql}"
            );
            assert_eq!(
                Effect::of(sql, Some(System::Postgres)),
                Effect::default(),
                "{sql}"
            );
        }
    }

    #[test]
    fn a_prepared_transaction_may_be_committed_elsewhere() {
        let effect = Effect::of("PREPARE TRANSACTION 'a'", Some(System::Postgres));
        assert!(effect.may_commit && effect.ends && !effect.commits);
        assert_eq!(effect.leaves_open, Some(false));
        let effect = Effect::of("PREPARE a AS SELECT 1", Some(System::Postgres));
        assert_eq!(effect, Effect::default());
        for (sql, leaves_open, commits, may_commit) in [
            ("XA START 'a'", Some(true), false, false),
            ("XA END 'a'", None, false, false),
            ("XA PREPARE 'a'", None, false, true),
            ("XA COMMIT 'a' ONE PHASE", Some(false), true, false),
            ("XA ROLLBACK 'a'", Some(false), false, false),
        ] {
            let effect = Effect::of(sql, Some(System::MySql));
            assert_eq!(
                (effect.leaves_open, effect.commits, effect.may_commit),
                (leaves_open, commits, may_commit),
                "{sql}"
            );
        }
    }

    #[test]
    fn savepoints_are_counted_where_they_begin_a_transaction() {
        for (sql, savepoints) in [
            ("SAVEPOINT a", 1),
            ("SAVEPOINT a; DELETE FROM dish; release savepoint a", 0),
            ("RELEASE a", -1),
            ("ROLLBACK TO a", 0),
        ] {
            assert_eq!(Effect::of(sql, None).savepoints, savepoints, "{sql}");
            for system in [System::Postgres, System::MySql] {
                assert_eq!(Effect::of(sql, Some(system)).savepoints, 0, "{sql}");
            }
        }
    }
}
