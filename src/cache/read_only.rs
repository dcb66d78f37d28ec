//! Checks by its text that a statement only reads.
//!
//! A statement that is cached or has a fallback may run several times, later, on another pool, or
//! not at all. That is correct only for reads. The check splits the text into words, outside the
//! quotes and comments of the dialect, and rejects a statement in case of doubt. It cannot know what
//! a function does, except for a few functions that are known to write or lock.

use super::not_a_read::NotARead;

/// The syntax of quotes and comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

const QUERIES: [&str; 4] = ["SELECT", "VALUES", "TABLE", "WITH"];
const WRITES: [&str; 5] = ["INSERT", "UPDATE", "DELETE", "MERGE", "INTO"];
const WRITING_FUNCTIONS: [&str; 4] = ["NEXTVAL", "SETVAL", "PG_NOTIFY", "SET_CONFIG"];
/// The beginnings of the names of functions that lock.
const LOCKING_FUNCTIONS: [&str; 5] = [
    "PG_ADVISORY_",
    "PG_TRY_ADVISORY_",
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
];

/// Checks that `sql` is one statement that only reads.
pub(crate) fn check(sql: &str, dialect: Dialect) -> Result<(), NotARead> {
    let mut rest = sql;
    let mut previous = "";
    let mut is_first = true;
    let mut has_ended = false;
    while let Some((token, after)) = next(rest, dialect)? {
        rest = after;
        if has_ended && token != ";" {
            return Err(NotARead::Several);
        }
        has_ended |= token == ";";
        if is_first && token != "(" {
            if one_of(&QUERIES, token).is_none() {
                return Err(NotARead::NoQuery);
            }
            is_first = false;
        }
        check_word(token, previous, rest)?;
        previous = token;
    }
    if is_first {
        return Err(NotARead::NoQuery);
    }
    Ok(())
}

fn check_word(word: &str, previous: &str, rest: &str) -> Result<(), NotARead> {
    let calls = rest.trim_start().starts_with('(');
    if previous == "." && !calls {
        return Ok(()); // a column
    }
    if word.eq_ignore_ascii_case("VALUE") && previous.eq_ignore_ascii_case("NEXT") {
        return Err(NotARead::Writes("NEXT VALUE")); // of a sequence in MariaDB
    }
    if let Some(word) = one_of(&WRITES, word) {
        if word == "UPDATE" && one_of(&["FOR", "KEY"], previous).is_some() {
            return Err(NotARead::Locks("FOR UPDATE"));
        }
        // MySQL has a function `INSERT`.
        if !(word == "INSERT" && calls) {
            return Err(NotARead::Writes(word));
        }
    }
    if word.eq_ignore_ascii_case("SHARE") && one_of(&["FOR", "KEY", "IN"], previous).is_some() {
        return Err(NotARead::Locks("SHARE"));
    }
    let begins_with = |start: &&&str| {
        (word.get(..start.len())).is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    if let Some(function) = one_of(&WRITING_FUNCTIONS, word).filter(|_| calls) {
        return Err(NotARead::Writes(function));
    }
    match LOCKING_FUNCTIONS.iter().find(begins_with) {
        Some(function) => Err(NotARead::Locks(function)),
        None => Ok(()),
    }
}

fn one_of<'w>(words: &[&'w str], token: &str) -> Option<&'w str> {
    (words.iter().copied()).find(|word| word.eq_ignore_ascii_case(token))
}

/// The next token and the text after it. A token is a word or a single character. Quoted text is
/// represented by its opening quote, since its content does not matter.
fn next(sql: &str, dialect: Dialect) -> Result<Option<(&str, &str)>, NotARead> {
    let sql = past_space(sql, dialect)?;
    let Some(first) = sql.chars().next() else {
        return Ok(None);
    };
    // In PostgreSQL, a name may contain a `$`, which begins a quote elsewhere.
    let is_rest = |c| is_word(c) || (c == '$' && dialect == Dialect::Postgres);
    if is_word(first) {
        let word = sql.find(|c| !is_rest(c)).unwrap_or(sql.len());
        let (word, rest) = sql.split_at(word);
        // In PostgreSQL, E'...' has backslash escapes.
        if dialect == Dialect::Postgres && word.eq_ignore_ascii_case("E") && rest.starts_with('\'')
        {
            return Ok(Some(("'", past_quote(&rest[1..], '\'', true)?)));
        }
        return Ok(Some((word, rest)));
    }
    let (token, rest) = sql.split_at(first.len_utf8());
    let backslashes = dialect == Dialect::MySql;
    let rest = match first {
        '\'' => past_quote(rest, '\'', backslashes)?,
        '"' => past_quote(rest, '"', backslashes)?,
        '[' if dialect == Dialect::Sqlite => past_quote(rest, ']', false)?,
        '`' if dialect != Dialect::Postgres => past_quote(rest, '`', false)?,
        '$' if dialect == Dialect::Postgres => past_dollars(rest)?,
        _ => rest,
    };
    Ok(Some((token, rest)))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text after a quote. `rest` begins after the opening quote. A doubled quote is treated as two
/// adjacent quoted texts.
fn past_quote(rest: &str, quote: char, backslashes: bool) -> Result<&str, NotARead> {
    let mut characters = rest.char_indices();
    while let Some((place, c)) = characters.next() {
        if c == quote {
            return Ok(&rest[place + c.len_utf8()..]);
        }
        if c == '\\' && backslashes {
            characters.next();
        }
    }
    Err(NotARead::Unclear("a quote that does not end"))
}

/// The text after `$1` or `$tag$ ... $tag$`. `rest` begins after the first `$`.
fn past_dollars(rest: &str) -> Result<&str, NotARead> {
    let tag = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let is_parameter = rest.starts_with(|c: char| c.is_ascii_digit());
    if is_parameter || !rest[tag..].starts_with('$') {
        return Ok(rest);
    }
    let (tag, body) = rest.split_at(tag + 1);
    let end = format!("${tag}");
    match body.find(&end) {
        Some(place) => Ok(&body[place + end.len()..]),
        None => Err(NotARead::Unclear("a quote that does not end")),
    }
}

/// The text after white space and comments.
fn past_space(mut sql: &str, dialect: Dialect) -> Result<&str, NotARead> {
    loop {
        sql = sql.trim_start();
        let mysql = dialect == Dialect::MySql;
        let is_line = match sql.strip_prefix("--") {
            // In MySQL, `1--1` is a subtraction.
            Some(rest) => !mysql || rest.is_empty() || rest.starts_with(char::is_whitespace),
            None => mysql && sql.starts_with('#'),
        };
        if is_line {
            sql = sql.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = sql.strip_prefix("/*") {
            if mysql && (rest.starts_with('!') || rest.starts_with("M!")) {
                return Err(NotARead::Unclear("a comment that some servers execute"));
            }
            sql = past_comment(rest, dialect == Dialect::Postgres)?;
        } else {
            return Ok(sql);
        }
    }
}

/// The text after a block comment. `rest` begins after its opening `/*`.
fn past_comment(mut rest: &str, nests: bool) -> Result<&str, NotARead> {
    let mut depth = 1;
    while depth > 0 {
        let Some(end) = rest.find("*/") else {
            return Err(NotARead::Unclear("a comment that does not end"));
        };
        match rest.find("/*").filter(|&start| nests && start < end) {
            Some(start) => {
                depth += 1;
                rest = &rest[start + 2..];
            }
            None => {
                depth -= 1;
                rest = &rest[end + 2..];
            }
        }
    }
    Ok(rest)
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
