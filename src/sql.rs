//! What is seen of a statement by its text.

/// `COMMIT` and `ROLLBACK` by hand: they pass, because they free what is locked.
pub(crate) fn ends_transaction(sql: &str) -> bool {
    let [first, _] = first_words(sql);
    let ends = ["commit", "rollback", "end", "abort"];
    ends.iter().any(|end| first.eq_ignore_ascii_case(end))
}

/// Whether a connection is in a transaction that was begun by hand, after these statements, if it
/// was or was not before.
pub(crate) fn in_transaction_after(sql: &str, before: bool) -> bool {
    sql.split(';').fold(before, |before, statement| {
        let [first, second] = first_words(statement).map(str::to_ascii_lowercase);
        if ends_transaction(statement) {
            return before && second == "to"; // a savepoint
        }
        before || first == "begin" || (first == "start" && second == "transaction")
    })
}

fn first_words(sql: &str) -> [&str; 2] {
    let (first, rest) = first_word(past_comments(sql));
    [first, first_word(rest.trim_start()).0]
}

fn first_word(sql: &str) -> (&str, &str) {
    let end = sql.find(|c: char| !c.is_ascii_alphabetic());
    sql.split_at(end.unwrap_or(sql.len()))
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
            "start  transaction read only",
            "/* trace=1 */ BEGIN; INSERT INTO dish VALUES (1)",
            "COMMIT; BEGIN",
        ] {
            assert!(in_transaction_after(sql, false), "{sql}");
        }
        for sql in [
            "INSERT INTO dish VALUES (1)",
            "ROLLBACK TO a",
            "START SLAVE",
            "",
        ] {
            assert!(in_transaction_after(sql, true), "{sql}");
            assert!(!in_transaction_after(sql, false), "{sql}");
        }
        for sql in ["COMMIT", "ROLLBACK;", "BEGIN; SELECT 1; END"] {
            assert!(!in_transaction_after(sql, true), "{sql}");
        }
    }
}
