//! What is seen of a statement by its text.

/// `COMMIT` and `ROLLBACK` by hand: they pass, because they free what is locked.
pub(crate) fn ends_transaction(sql: &str) -> bool {
    let word = past_comments(sql)
        .split(|c: char| !c.is_ascii_alphabetic())
        .next();
    let ends = ["commit", "rollback", "end", "abort"];
    word.is_some_and(|word| ends.iter().any(|end| word.eq_ignore_ascii_case(end)))
}

pub(crate) fn past_comments(mut sql: &str) -> &str {
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
}
