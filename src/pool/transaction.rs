//! Detects transactions that are begun and ended by the text of a statement.

/// Whether the first word of `sql` is one of `words`.
fn begins_with(sql: &str, words: &[&str]) -> bool {
    let first = past_comments(sql)
        .split(|c: char| !c.is_ascii_alphabetic())
        .next();
    first.is_some_and(|first| words.iter().any(|word| first.eq_ignore_ascii_case(word)))
}

/// Whether a statement ends a transaction or a savepoint. It is then never refused, because it releases
/// locks. On SQLite, the `RELEASE` of an outermost savepoint is a commit.
pub(crate) fn ends_transaction(sql: &str) -> bool {
    begins_with(sql, &["commit", "rollback", "end", "abort", "release"])
}

/// Whether a text only begins a transaction or rolls it back, or to a savepoint.
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) fn is_trivial(sql: &str) -> bool {
    let is_single = !past_comments(sql)
        .trim_end_matches([';', ' ', '\n'])
        .contains(';');
    is_single && begins_with(sql, &["begin", "start", "savepoint", "rollback", "abort"])
}

/// Whether a statement commits a transaction.
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) fn commits(sql: &str) -> bool {
    begins_with(sql, &["commit", "end"])
}

/// Whether a text begins a transaction: with its first statement, or with a later one after the end
/// of another transaction.
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) fn begins_transaction(sql: &str) -> bool {
    begins_with(sql, &["begin", "start"])
        || ends_transaction(sql)
            && sql
                .split(';')
                .any(|sql| begins_with(sql, &["begin", "start"]))
}

/// Whether a text is a plain `COMMIT` or `ROLLBACK`, and nothing else.
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
pub(crate) fn is_plain_end(sql: &str) -> bool {
    let sql = past_comments(sql).trim_end().trim_end_matches(';');
    sql.eq_ignore_ascii_case("commit") || sql.eq_ignore_ascii_case("rollback")
}

/// The text after leading white space and comments.
fn past_comments(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        let rest = match sql.get(..2) {
            Some("--") => sql.split_once('\n'),
            Some("/*") => sql.split_once("*/"),
            _ => None,
        };
        match rest {
            Some((_, rest)) => sql = rest,
            None => return sql,
        }
    }
}

#[cfg(all(test, any(feature = "deadpool-postgres", feature = "diesel")))]
mod tests {
    use super::*;

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
            assert!(ends_transaction(sql), "{sql}");
        }
        for sql in ["", "SELECT 1", "COMMITTED", "-- COMMIT", "/* COMMIT", "é"] {
            assert!(!ends_transaction(sql), "{sql}");
        }
    }

    #[test]
    fn a_trivial_statement_does_nothing_else() {
        for sql in [
            "BEGIN",
            "START TRANSACTION; ",
            "rollback",
            "ROLLBACK TO a",
            "SAVEPOINT a",
        ] {
            assert!(is_trivial(sql), "{sql}");
        }
        for sql in ["COMMIT", "BEGIN; DELETE FROM dish", "SELECT 1", "RELEASE a"] {
            assert!(!is_trivial(sql), "{sql}");
        }
    }

    #[test]
    fn the_beginning_of_a_transaction_is_detected_by_its_first_word() {
        for sql in [
            "BEGIN",
            "start  transaction read only",
            "/* trace=1; */ BEGIN; INSERT INTO dish VALUES (1)",
            "COMMIT; BEGIN",
        ] {
            assert!(begins_transaction(sql), "{sql}");
        }
        for sql in [
            "",
            "INSERT INTO dish VALUES (1)",
            "INSERT INTO dish VALUES ('; begin')",
            "DO $$ BEGIN PERFORM 1; END $$",
            "ROLLBACK TO a",
            "COMMIT AND CHAIN",
            "COMMIT",
            "BEGINNING",
        ] {
            assert!(!begins_transaction(sql), "{sql}");
        }
    }
}
