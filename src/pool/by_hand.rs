//! Transactions that are begun by a statement's text.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::pool::transaction::{ends_transaction, past_comments};

/// Whether a leased connection is in a transaction that its driver knows nothing of.
#[derive(Debug, Default)]
pub(crate) struct ByHand(AtomicBool);

impl ByHand {
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Statements with this text were run, well or not. One that failed to begin a transaction began
    /// none; one that failed to end it ended it all the same, or broke the connection.
    pub(crate) fn follow(&self, sql: &str, well: bool) {
        let follow = |before| (well || before).then(|| in_transaction_after(sql, before));
        let _ = (self.0).fetch_update(Ordering::AcqRel, Ordering::Acquire, follow);
    }
}

/// Whether a connection is in a transaction after these statements, if it was or was not before.
///
/// Of several the first and the last decide, and only if the first is about transactions: what lies
/// in between is not parsed, and may quote anything.
pub(crate) fn in_transaction_after(sql: &str, before: bool) -> bool {
    let mut statements = past_comments(sql)
        .split(';')
        .filter(|statement| !past_comments(statement).is_empty());
    let Some(after_first) = statements.next().and_then(|sql| decided_by(sql, before)) else {
        return before;
    };
    let after_last = statements
        .next_back()
        .and_then(|sql| decided_by(sql, after_first));
    after_last.unwrap_or(after_first)
}

/// `None`: a statement that is not about transactions.
fn decided_by(statement: &str, before: bool) -> Option<bool> {
    let statement = past_comments(statement).to_ascii_lowercase();
    let words: Vec<_> = statement
        .split(|c: char| !c.is_ascii_alphabetic())
        .collect();
    let has = |word| words.contains(&word);
    match words[..] {
        ["begin", ..] => Some(true),
        ["start", ..] if has("transaction") => Some(true),
        // To a savepoint, or into the next one.
        _ if ends_transaction(&statement) && (has("to") || has("chain") && !has("no")) => {
            Some(before)
        }
        _ => ends_transaction(&statement).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_by_hand_lasts_from_its_beginning_to_its_end() {
        for sql in [
            "BEGIN",
            "start  transaction read only",
            "/* trace=1; */ BEGIN; INSERT INTO dish VALUES (1)",
            "COMMIT; BEGIN",
        ] {
            assert!(in_transaction_after(sql, false), "{sql}");
        }
        for sql in [
            "",
            "INSERT INTO dish VALUES (1)",
            "INSERT INTO dish VALUES ('; end')",
            "INSERT INTO dish VALUES ('; begin')",
            "DO $$ BEGIN PERFORM 1; END $$",
            "ROLLBACK TO a",
            "ROLLBACK WORK TO SAVEPOINT a;",
            "COMMIT AND CHAIN",
            "START SLAVE",
        ] {
            assert!(in_transaction_after(sql, true), "{sql}");
            assert!(!in_transaction_after(sql, false), "{sql}");
        }
        for sql in [
            "COMMIT",
            "ROLLBACK;",
            "COMMIT AND NO CHAIN",
            "BEGIN; SELECT 1; END;\n",
        ] {
            assert!(!in_transaction_after(sql, true), "{sql}");
        }
    }

    #[test]
    fn what_fails_to_begin_begins_nothing() {
        let by_hand = ByHand::default();
        by_hand.follow("BEGIN ISOLATION LEVEL", false);
        assert!(!by_hand.is_in_transaction());
        by_hand.follow("BEGIN", true);
        by_hand.follow("SELEKT", false);
        assert!(by_hand.is_in_transaction());
        by_hand.follow("COMMIT", false);
        assert!(!by_hand.is_in_transaction());
    }
}
