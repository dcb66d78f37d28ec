//! Checks by its text that a statement only reads.
//!
//! A statement that is cached or has a fallback may run several times, later, on another pool, or
//! not at all. That is correct only for reads. The check splits the text into tokens, and rejects a
//! statement in case of doubt. It cannot know what a function of the user does. Those of the servers
//! that write, lock or wait are listed in `functions.rs`.

use super::functions::{self, one_of};
use super::not_a_read::NotARead;
use super::tokens::{Dialect, Token, Tokens};

const QUERIES: [&str; 4] = ["SELECT", "VALUES", "TABLE", "WITH"];
const WRITES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "MERGE", "INTO"];

/// Checks that `sql` is one statement that only reads.
pub(crate) fn check(sql: &str, dialect: Dialect) -> Result<(), NotARead> {
    let mut tokens = Tokens::of(sql, dialect);
    // The beginning counts as a bracket.
    let mut previous = Token::Sign('(');
    let mut is_first = true;
    let mut has_ended = false;
    while let Some(token) = tokens.next()? {
        let is_end = token == Token::Sign(';');
        if has_ended && !is_end {
            return Err(NotARead::Several);
        }
        has_ended |= is_end;
        if is_first && token != Token::Sign('(') {
            if !token.is_one_of(&QUERIES) {
                return Err(NotARead::NoQuery);
            }
            is_first = false;
        }
        check_token(token, previous, tokens, dialect)?;
        previous = token;
    }
    if is_first {
        return Err(NotARead::NoQuery);
    }
    Ok(())
}

/// Checks a token. `rest` are those after it.
fn check_token(
    token: Token<'_>,
    previous: Token<'_>,
    rest: Tokens<'_>,
    dialect: Dialect,
) -> Result<(), NotARead> {
    let calls = rest.peek()? == Some(Token::Sign('('));
    let word = match token {
        Token::Word(word) => word,
        Token::Name(name) if calls => return check_function(name, rest, dialect),
        // In MySQL, `@v := 1` sets a variable.
        Token::Sign(':') if dialect == Dialect::MySql && rest.peek()? == Some(Token::Sign('=')) => {
            return Err(NotARead::Writes(":="));
        }
        Token::Name(_) | Token::Text | Token::Sign(_) => return Ok(()),
    };
    if previous == Token::Sign('.') && !calls {
        return Ok(()); // a column
    }
    if token.is("VALUE") && previous.is("NEXT") {
        return Err(NotARead::Writes("NEXT VALUE")); // of a sequence in MariaDB
    }
    if let Some(word) = one_of(&WRITES, word) {
        if word == "UPDATE" && previous.is_one_of(&["FOR", "KEY"]) {
            return Err(NotARead::Locks("FOR UPDATE"));
        }
        // MySQL has a function `INSERT`.
        if !(word == "INSERT" && calls) {
            return Err(NotARead::Writes(word));
        }
    }
    if token.is("SHARE") && previous.is_one_of(&["FOR", "KEY", "IN"]) {
        return Err(NotARead::Locks("SHARE"));
    }
    match calls {
        true => check_function(word, rest, dialect),
        false => Ok(()),
    }
}

/// Checks the call of a function. `rest` begins with its arguments.
fn check_function(name: &str, mut rest: Tokens<'_>, dialect: Dialect) -> Result<(), NotARead> {
    if let Some(refused) = functions::refused(name, dialect) {
        return Err(refused);
    }
    // MySQL's `LAST_INSERT_ID()` reads, and `LAST_INSERT_ID(1)` writes.
    rest.next()?;
    let has_arguments = rest.peek()? != Some(Token::Sign(')'));
    match name.eq_ignore_ascii_case("LAST_INSERT_ID") && has_arguments {
        true => Err(NotARead::Writes("LAST_INSERT_ID")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];

    fn all(sql: &str) -> [Result<(), NotARead>; 3] {
        ALL.map(|dialect| check(sql, dialect))
    }

    #[test]
    fn reads_are_accepted() {
        for sql in [
            "SELECT 1",
            "select * from t where id = ?",
            "SELECT name FROM dish WHERE day = $1 AND price < $2;",
            "  -- why\n /* and how */ SELECT 1 ; -- done",
            "(SELECT 1) UNION (SELECT 2)",
            "WITH RECURSIVE n AS (SELECT 1) SELECT * FROM n",
            "VALUES (1), (2)",
            "SELECT 'INSERT INTO t; DELETE FROM t'",
            "SELECT 'it''s; DROP'",
            "SELECT \"update\" FROM t",
            "SELECT updated_at, shared, inserted FROM t",
            "SELECT replace(name, 'a', 'b') FROM t",
            "SELECT count(*) FROM share",
            "SELECT 'é' FROM tablé",
            "SELECT p.update, p.delete, setvalue FROM permission p",
        ] {
            assert_eq!(all(sql), [Ok(()); 3], "{sql}");
        }
    }

    #[test]
    fn writes_are_rejected() {
        for (sql, word) in [
            (
                "WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x",
                "DELETE",
            ),
            (
                "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
                "INSERT",
            ),
            (
                "WITH x AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM x",
                "UPDATE",
            ),
            ("SELECT * INTO copy FROM t", "INTO"),
            ("SELECT * FROM t INTO OUTFILE '/tmp/t'", "INTO"),
            ("SELECT nextval('t_id_seq')", "NEXTVAL"),
            ("SELECT pg_catalog.nextval ('t_id_seq')", "NEXTVAL"),
            ("SELECT NEXT VALUE FOR t_id_seq", "NEXT VALUE"),
            ("SELECT set_config('app.tenant', '1', false)", "SET_CONFIG"),
        ] {
            assert_eq!(all(sql), [Err(NotARead::Writes(word)); 3], "{sql}");
        }
        for sql in [
            "",
            " -- SELECT",
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DROP TABLE t",
            "CALL p()",
            "BEGIN",
            "; SELECT 1",
            "'SELECT'",
        ] {
            assert_eq!(all(sql), [Err(NotARead::NoQuery); 3], "{sql}");
        }
    }

    #[test]
    fn locks_are_rejected() {
        for sql in [
            "SELECT * FROM t FOR UPDATE",
            "SELECT * FROM t for no key update skip locked",
            "SELECT * FROM t FOR SHARE",
            "SELECT * FROM t FOR KEY SHARE",
            "SELECT * FROM t LOCK IN SHARE MODE",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT GET_LOCK('a', 1)",
        ] {
            for refused in all(sql) {
                assert!(
                    matches!(refused, Err(NotARead::Locks(_))),
                    "{sql}: {refused:?}"
                );
            }
        }
    }

    /// With comments and quotes between the name and its arguments.
    #[test]
    fn functions_that_write_lock_or_wait_are_rejected() {
        use Dialect::{MySql, Postgres, Sqlite};
        use NotARead::{Locks, Waits, Writes};
        for (sql, dialect, expected) in [
            ("SELECT lo_unlink(1)", Postgres, Writes("LO_")),
            (
                "SELECT * FROM dblink('a', 'b') t(x int)",
                Postgres,
                Writes("DBLINK"),
            ),
            (
                "SELECT pg_notify /* a */ -- b\n ('c', 'd')",
                Postgres,
                Writes("PG_NOTIFY"),
            ),
            (
                r#"SELECT "pg_notify"('c', 'd')"#,
                Postgres,
                Writes("PG_NOTIFY"),
            ),
            (
                r#"SELECT "pg_catalog" . "set_config" ('a', 'b', true)"#,
                Postgres,
                Writes("SET_CONFIG"),
            ),
            (
                "SELECT pg_terminate_backend(pid) FROM a",
                Postgres,
                Writes("PG_TERMINATE_BACKEND"),
            ),
            (
                "SELECT pg_create_restore_point('a')",
                Postgres,
                Writes("PG_CREATE_"),
            ),
            (
                "SELECT pg_drop_replication_slot('a')",
                Postgres,
                Writes("PG_DROP_"),
            ),
            (
                "SELECT pg_logical_slot_get_changes('a', null, null)",
                Postgres,
                Writes("PG_LOGICAL_SLOT_GET_"),
            ),
            ("SELECT pg_stat_reset()", Postgres, Writes("PG_STAT_RESET")),
            (
                "SELECT query_to_xml('select lo_unlink(1)', true, true, '')",
                Postgres,
                Writes("QUERY_TO_XML"),
            ),
            (
                r#"SELECT "pg_try_advisory_lock"(1)"#,
                Postgres,
                Locks("PG_TRY_ADVISORY_"),
            ),
            ("SELECT SLEEP(1)", MySql, Waits("SLEEP")),
            ("SELECT benchmark(1, 1)", MySql, Waits("BENCHMARK")),
            ("SELECT `GET_LOCK`('a', 1)", MySql, Locks("GET_LOCK")),
            ("SELECT @v := 1", MySql, Writes(":=")),
            ("SELECT 1 INTO @v", MySql, Writes("INTO")),
            ("SELECT 1 INTO DUMPFILE 'a'", MySql, Writes("INTO")),
            ("SELECT LAST_INSERT_ID(7)", MySql, Writes("LAST_INSERT_ID")),
            (
                "SELECT load_extension('a')",
                Sqlite,
                Writes("LOAD_EXTENSION"),
            ),
            (
                "SELECT [load_extension]('a')",
                Sqlite,
                Writes("LOAD_EXTENSION"),
            ),
        ] {
            assert_eq!(check(sql, dialect), Err(expected), "{dialect:?}: {sql}");
        }
        for (sql, dialect) in [
            // Volatile, but they only read.
            (
                "SELECT now(), random(), currval('a'), clock_timestamp()",
                Postgres,
            ),
            ("SELECT NOW(), RAND(), LAST_INSERT_ID()", MySql),
            ("SELECT random(), last_insert_rowid()", Sqlite),
            // Columns, and a user's own function.
            (
                "SELECT pg_notify, get_lock, sleep, lo_unlink FROM t",
                Postgres,
            ),
            ("SELECT sleep(1)", Postgres),
            ("SELECT a[1:2] FROM t", Postgres),
        ] {
            assert_eq!(check(sql, dialect), Ok(()), "{dialect:?}: {sql}");
        }
    }

    #[test]
    fn several_statements_are_rejected() {
        for sql in [
            "SELECT 1; SELECT 2",
            "SELECT 1;;DELETE FROM t",
            "SELECT ';' ; DROP TABLE t",
        ] {
            assert_eq!(all(sql), [Err(NotARead::Several); 3], "{sql}");
        }
    }

    /// Text in one dialect is code in another.
    #[test]
    fn quotes_and_comments_are_those_of_the_dialect() {
        use Dialect::{MySql, Postgres, Sqlite};
        let several = Err(NotARead::Several);
        for (sql, dialect, expected) in [
            // A backslash escapes a quote only in MySQL, and in PostgreSQL in E''.
            (r"SELECT 'a\'; DELETE FROM t; -- '", MySql, Ok(())),
            (r"SELECT 'a\'; DELETE FROM t; -- '", Postgres, several),
            (r"SELECT 'a\'; DELETE FROM t; -- '", Sqlite, several),
            (r"SELECT E'a\'; DELETE FROM t; -- '", Postgres, Ok(())),
            (r"SELECT E'a\\'; DELETE FROM t", Postgres, several),
            // Comments.
            ("SELECT 1--1; DELETE FROM t", MySql, several),
            ("SELECT 1--1; DELETE FROM t", Postgres, Ok(())),
            ("SELECT 1 # ; DELETE FROM t", MySql, Ok(())),
            ("SELECT 1 # 2; DELETE FROM t", Postgres, several),
            // A carriage return ends a comment only in PostgreSQL.
            ("SELECT 1 -- a\r; DELETE FROM t", Postgres, several),
            ("SELECT 1 -- a\r; DELETE FROM t", MySql, Ok(())),
            ("SELECT 1 -- a\r; DELETE FROM t", Sqlite, Ok(())),
            ("SELECT /* /* */ 1; DELETE FROM t -- */", MySql, several),
            ("SELECT /* /* */ 1; DELETE FROM t */ 1", Postgres, Ok(())),
            // Dollars.
            ("SELECT $$; DELETE FROM t$$", Postgres, Ok(())),
            ("SELECT $a$ $b$; DELETE $a$", Postgres, Ok(())),
            ("SELECT a$b$; DELETE FROM t; -- $b$", Postgres, several),
            ("SELECT $1; DELETE FROM t WHERE $1", Postgres, several),
            ("SELECT `;` FROM `update`", MySql, Ok(())),
            (
                "SELECT [it's] FROM [update]; DELETE FROM t WHERE [it's]",
                Sqlite,
                several,
            ),
        ] {
            assert_eq!(check(sql, dialect), expected, "{dialect:?}: {sql}");
        }
    }

    #[test]
    fn unclear_statements_are_rejected() {
        for (sql, dialect) in [
            ("SELECT 'a", Dialect::Postgres),
            ("SELECT $x$ a", Dialect::Postgres),
            ("SELECT 1 /* a", Dialect::Sqlite),
            ("SELECT 1 /*! INTO OUTFILE 't' */", Dialect::MySql),
            ("SELECT 1 /*!50000 INTO OUTFILE 't' */", Dialect::MySql),
            (r#"SELECT U&"\0070g_notify"('a', 'b')"#, Dialect::Postgres),
            ("SELECT 1 /*M! INTO OUTFILE 't' */", Dialect::MySql),
        ] {
            let refused = check(sql, dialect);
            assert!(
                matches!(refused, Err(NotARead::Unclear(_))),
                "{sql}: {refused:?}"
            );
        }
    }
}
