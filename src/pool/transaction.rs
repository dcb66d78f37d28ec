//! What a text does to the transaction of its connection.

use crate::cache::tokens::{Dialect, Token, Tokens};
use crate::pool::session::System;

/// The words with which a statement begins or ends a transaction or a savepoint.
const WORDS: [&str; 8] = [
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
];

/// The statements with which MySQL and MariaDB commit an open transaction, or may:
/// <https://dev.mysql.com/doc/refman/9.4/en/implicit-commit.html>,
/// <https://mariadb.com/docs/server/reference/sql-statements/transactions/sql-statements-that-cause-an-implicit-commit>.
/// A procedure may contain any of them.
const COMMIT_IMPLICITLY: [&str; 24] = [
    "ALTER", "ANALYZE", "BEGIN", "CACHE", "CALL", "CHANGE", "CHECK", "CREATE", "DROP", "EXECUTE",
    "FLUSH", "GRANT", "INSTALL", "LOAD", "LOCK", "OPTIMIZE", "RENAME", "REPAIR", "RESET", "REVOKE",
    "SET", "START", "TRUNCATE", "UNLOCK",
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
    /// It may have committed the open transaction, as some statements of MySQL do.
    pub(crate) may_commit: bool,
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
        // What cannot be read has no effect that is known.
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
        let (mut to_savepoint, mut chains, mut is_no, mut begins) = (false, false, false, false);
        let mut is_second = true;
        while let Ok(Some(token)) = tokens.next()
            && token != Token::Sign(';')
        {
            to_savepoint |= token.is("TO");
            chains |= token.is("CHAIN") && !is_no;
            is_no = token.is("NO");
            begins |= is_second && token.is("TRANSACTION");
            is_second = false;
        }
        if first.is("BEGIN") || first.is("START") && begins {
            self.begins |= self.leaves_open.is_none();
            self.leaves_open = Some(true);
            return;
        }
        let commits = first.is("COMMIT") || is_end(first, dialect);
        let rolls_back = first.is_one_of(&["ABORT", "ROLLBACK"]) && !to_savepoint;
        if commits || rolls_back {
            self.commits |= commits;
            self.ends = true;
            self.leaves_open = Some(chains);
        }
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
}
