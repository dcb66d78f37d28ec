//! What is seen of a statement by its text.

/// `COMMIT` and `ROLLBACK` by hand: they pass, because they free what is locked.
pub(crate) fn ends_transaction(sql: &str) -> bool {
    is_one_of(first_words(sql)[0], &["commit", "rollback", "end", "abort"])
}

/// Whether a connection is in a transaction that was begun by hand, after these statements, if it
/// was or was not before.
pub(crate) fn in_transaction_after(sql: &str, before: bool) -> bool {
    sql.split(';').fold(before, |before, statement| {
        let [first, second] = first_words(statement);
        match ends_transaction(statement) {
            true => is_one_of(second, &["to"]) && before, // a savepoint
            false => before || is_one_of(first, &["begin", "start"]),
        }
    })
}

fn first_words(sql: &str) -> [&str; 2] {
    let mut words = past_comments(sql).split(|c: char| !c.is_ascii_alphabetic());
    [(); 2].map(|()| words.next().unwrap_or_default())
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_transaction_is_known_by_its_first_word() {
        for sql in [
            "COMMIT",
            " rollback;",
            "End",
            "ABORT AND CHAIN",
            "/* trace=1 */ -- why\n COMMIT",
        ] {
            assert!(ends_transaction(sql), "{sql}");
        }
        for sql in ["", "SELECT 1", "COMMITTED", "-- COMMIT", "/* COMMIT", "é"] {
            assert!(!ends_transaction(sql), "{sql}");
        }
    }

    #[test]
    fn a_transaction_by_hand_lasts_from_its_beginning_to_its_end() {
        for sql in [
            "BEGIN",
            "start transaction read only",
            "/* trace=1 */ BEGIN; INSERT INTO dish VALUES (1)",
            "COMMIT; BEGIN",
        ] {
            assert!(in_transaction_after(sql, false), "{sql}");
        }
        for sql in ["INSERT INTO dish VALUES (1)", "ROLLBACK TO a", ""] {
            assert!(in_transaction_after(sql, true), "{sql}");
            assert!(!in_transaction_after(sql, false), "{sql}");
        }
        for sql in ["COMMIT", "ROLLBACK;", "BEGIN; SELECT 1; END"] {
            assert!(!in_transaction_after(sql, true), "{sql}");
        }
    }
}
