//! Classifies the SQLSTATEs of PostgreSQL, for all drivers.
//!
#![doc = include_str!("sqlstate.md")]

use crate::breaker::verdict::Class;
use crate::outcome::delivery::Delivery;

/// A query that returns a row if the server, the database or the role is read-only. It ignores a
/// read-only setting of the session or of a transaction.
pub(crate) const IS_READ_ONLY: &str = "SELECT 1 WHERE pg_catalog.pg_is_in_recovery() OR EXISTS \
    (SELECT 1 FROM pg_catalog.pg_settings \
    WHERE name = 'default_transaction_read_only' AND reset_val = 'on')";

/// An error that a server or a pooler reported.
#[derive(Clone, Copy)]
pub(crate) struct Report<'r> {
    pub(crate) code: &'r str,
    pub(crate) message: &'r str,
    /// The session ended with it.
    pub(crate) is_fatal: bool,
}

impl Report<'_> {
    pub(crate) fn class(self) -> Class {
        let Self {
            code,
            message,
            is_fatal,
        } = self;
        if let Some(class) = self.class_by_pooler() {
            return class;
        }
        match code {
            "53300" => Class::Starved,
            "25006" => Class::ReadOnly,
            "57014" if message.contains("statement timeout") => Class::Slow,
            "57014" | "40001" | "40P01" | "55P03" if !is_fatal => Class::Ignored,
            "40003" | "57P01" | "57P02" | "57P03" | "XX001" | "XX002" => Class::Failure,
            "57P05" => Class::Denied,
            _ => match code.get(..2) {
                Some("28") => Class::Denied,
                Some("08" | "53" | "58" | "XX") if is_fatal => Class::Failure,
                Some("08") if code != "08P01" => Class::Failure,
                Some("53") if code != "53400" => Class::Failure,
                Some("58") if !code.starts_with("58P") => Class::Failure,
                _ if is_fatal => Class::Denied,
                _ => Class::Success,
            },
        }
    }

    /// The class of an error that a pooler reported itself.
    fn class_by_pooler(self) -> Option<Class> {
        let texts = match self.code {
            "08000" | "08001" | "08P01" => &CONNECTION_TEXTS[..],
            "58000" => &SYSTEM_TEXTS[..],
            _ => return None,
        };
        let starts = |(text, _): &&(&str, Class)| self.message.starts_with(text);
        texts.iter().find(starts).map(|&(_, class)| class)
    }

    pub(crate) fn delivery(self) -> Delivery {
        let class = self.class();
        match (self.code, self.code.get(..2)) {
            ("08004" | "57P03", _) | (_, Some("28")) => Delivery::NotSent,
            _ if class == Class::Starved => Delivery::NotSent,
            ("3D000", _) if self.is_fatal => Delivery::NotSent,
            ("40003" | "58000" | "57P01" | "57P02" | "57P05", _) => Delivery::Unknown,
            (_, Some("08")) => Delivery::Unknown,
            _ if self.is_fatal => Delivery::Unknown,
            _ => Delivery::Answered,
        }
    }
}

/// The code of an error that a pooler reported itself, by the start of its message.
#[cfg(feature = "diesel-postgres")]
pub(crate) fn code_of_pooler(message: &str) -> Option<&'static str> {
    let is_in = |texts: &[(&str, Class)]| texts.iter().any(|(text, _)| message.starts_with(text));
    match () {
        () if is_in(&CONNECTION_TEXTS) => Some("08P01"),
        () if is_in(&SYSTEM_TEXTS) => Some("58000"),
        () => None,
    }
}

/// The errors of PgBouncer (08P01), RDS Proxy (08000) and ProxySQL (08001).
const CONNECTION_TEXTS: [(&str, Class); 24] = [
    ("query_wait_timeout", Class::Starved),
    ("no more connections allowed", Class::Starved),
    ("client connections exceeded", Class::Starved),
    (
        "Timed-out waiting to acquire database connection",
        Class::Starved,
    ),
    ("Max connect timeout reached", Class::Starved),
    ("query_timeout", Class::Slow),
    ("query timeout", Class::Slow),
    ("client_idle_timeout", Class::Denied),
    ("idle transaction timeout", Class::Denied),
    ("transaction timeout", Class::Denied),
    ("no such user", Class::Denied),
    ("no such database", Class::Denied),
    ("password authentication failed", Class::Denied),
    ("SASL authentication failed", Class::Denied),
    ("\"trust\" authentication failed", Class::Denied),
    ("certificate authentication failed", Class::Denied),
    ("login rejected", Class::Denied),
    ("unix socket login rejected", Class::Denied),
    ("unsupported startup parameter", Class::Denied),
    // PgBouncer before 1.18 reports these as errors that do not end the session.
    ("server conn crashed?", Class::Failure),
    ("server login has been failing", Class::Failure),
    ("server shutting down", Class::Failure),
    ("pooler is shutting down", Class::Failure),
    ("client_login_timeout", Class::Failure),
];

/// The errors of PgCat and PgDog, which report most of their errors as 58000.
const SYSTEM_TEXTS: [(&str, Class); 12] = [
    ("could not get connection from the pool", Class::Starved),
    ("checkout timeout", Class::Starved),
    ("replica checkout timeout", Class::Starved),
    ("pool statement timeout", Class::Slow),
    ("query timeout", Class::Slow),
    ("idle transaction timeout", Class::Denied),
    ("No pool configured for database", Class::Denied),
    ("cross-shard queries are disabled", Class::Success),
    ("unmapped sharding key", Class::Success),
    ("cannot write to an omnisharded table", Class::Success),
    ("cannot switch shards", Class::Success),
    ("sharding key lookup failed", Class::Success),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn report(code: &str, is_fatal: bool) -> Report<'_> {
        Report {
            code,
            message: "canceling statement due to user request",
            is_fatal,
        }
    }

    /// Tries every code of the classes of which the table names any, and one code of all others.
    fn codes() -> impl Iterator<Item = String> {
        let digits = || (b'0'..=b'9').chain(b'A'..=b'Z').map(char::from);
        let pairs = move || digits().flat_map(move |a| digits().map(move |b| format!("{a}{b}")));
        pairs().flat_map(move |class| {
            let all = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"];
            let rest: Vec<String> = match all.contains(&&*class) {
                true => pairs()
                    .flat_map(|ab| digits().map(move |c| format!("{ab}{c}")))
                    .collect(),
                false => vec!["000".to_owned()],
            };
            rest.into_iter().map(move |rest| format!("{class}{rest}"))
        })
    }

    fn with(class: Class, is_fatal: bool) -> Vec<String> {
        codes()
            .filter(|code| report(code, is_fatal).class() == class)
            .collect()
    }

    /// The codes that differ from the others of their class.
    fn of(codes: &[String], prefix: &str) -> Vec<String> {
        let prefixed = codes.iter().filter(|code| code.starts_with(prefix));
        prefixed.cloned().collect()
    }

    const CODES_OF_A_CLASS: usize = 36 * 36 * 36;

    #[test]
    fn the_table_of_errors_of_statements_is_complete() {
        assert_eq!(with(Class::Starved, false), ["53300"]);
        assert_eq!(with(Class::ReadOnly, false), ["25006"]);
        assert_eq!(
            with(Class::Ignored, false),
            ["40001", "40P01", "55P03", "57014"]
        );
        let denied = with(Class::Denied, false);
        assert_eq!(of(&denied, "28").len(), CODES_OF_A_CLASS);
        assert_eq!(of(&denied, "57"), ["57P05"]);
        assert_eq!(denied.len(), CODES_OF_A_CLASS + 1);

        let failed = with(Class::Failure, false);
        assert_eq!(of(&failed, "08").len(), CODES_OF_A_CLASS - 1);
        assert_eq!(of(&failed, "40"), ["40003"]);
        assert_eq!(of(&failed, "53").len(), CODES_OF_A_CLASS - 2);
        assert_eq!(of(&failed, "57"), ["57P01", "57P02", "57P03"]);
        assert_eq!(of(&failed, "58").len(), CODES_OF_A_CLASS - 36 * 36);
        assert_eq!(of(&failed, "XX"), ["XX001", "XX002"]);
        assert_eq!(failed.len(), 3 * CODES_OF_A_CLASS - 3 - 36 * 36 + 6);
        for code in ["08P01", "53400", "58P01", "XX000"] {
            assert_eq!(report(code, false).class(), Class::Success, "{code}");
        }
    }

    #[test]
    fn an_error_that_ends_the_session_is_no_answer() {
        assert_eq!(with(Class::Success, true), Vec::<String>::new());
        assert_eq!(with(Class::Ignored, true), Vec::<String>::new());
        assert_eq!(with(Class::Starved, true), ["53300"]);
        let failed = with(Class::Failure, true);
        for (class, exceptions) in [("08", 0), ("53", 1), ("58", 0), ("XX", 0)] {
            let count = CODES_OF_A_CLASS - exceptions;
            assert_eq!(of(&failed, class).len(), count, "{class}");
        }
        for code in ["3D000", "28P01", "25P03", "57P04", "57P05", "40001"] {
            assert_eq!(report(code, true).class(), Class::Denied, "{code}");
        }
    }

    #[test]
    fn a_timeout_is_told_by_its_message() {
        let timed_out = Report {
            message: "canceling statement due to statement timeout",
            ..report("57014", false)
        };
        assert_eq!(timed_out.class(), Class::Slow);
    }

    #[test]
    fn the_table_of_poolers_is_complete() {
        for (code, texts) in [
            ("08P01", &CONNECTION_TEXTS[..]),
            ("58000", &SYSTEM_TEXTS[..]),
        ] {
            for &(message, class) in texts {
                for is_fatal in [true, false] {
                    let report = Report {
                        code,
                        message: &format!("{message} (max_client_conn)"),
                        is_fatal,
                    };
                    assert_eq!(report.class(), class, "{message}");
                    let delivery = match class {
                        Class::Starved => Delivery::NotSent,
                        _ => Delivery::Unknown,
                    };
                    assert_eq!(report.delivery(), delivery, "{message}");
                    // Another code with this text has nothing to do with a pooler.
                    let other = Report {
                        code: "42601",
                        is_fatal: false,
                        ..report
                    };
                    assert_eq!(other.class(), Class::Success, "{message}");
                }
            }
        }
    }

    #[test]
    fn the_outcome_of_a_statement_is_known_only_if_the_server_says_it() {
        let deliveries = |delivery: Delivery| -> Vec<String> {
            codes()
                .filter(|code| report(code, false).delivery() == delivery)
                .collect()
        };
        let not_sent = deliveries(Delivery::NotSent);
        assert_eq!(of(&not_sent, "28").len(), CODES_OF_A_CLASS);
        assert_eq!(not_sent.len(), CODES_OF_A_CLASS + 3);
        for code in ["08004", "53300", "57P03"] {
            assert!(not_sent.iter().any(|other| other == code), "{code}");
        }
        let unknown = deliveries(Delivery::Unknown);
        assert_eq!(of(&unknown, "08").len(), CODES_OF_A_CLASS - 1);
        assert_eq!(of(&unknown, "40"), ["40003"]);
        assert_eq!(of(&unknown, "57"), ["57P01", "57P02", "57P05"]);
        assert_eq!(of(&unknown, "58"), ["58000"]);
        assert_eq!(unknown.len(), CODES_OF_A_CLASS - 1 + 5);
        assert_eq!(report("XX000", true).delivery(), Delivery::Unknown);
    }

    #[test]
    fn an_unknown_code_is_an_answer() {
        for code in ["", "4", "é123", "99999"] {
            assert_eq!(report(code, false).class(), Class::Success, "{code}");
            assert_eq!(report(code, false).delivery(), Delivery::Answered, "{code}");
        }
    }
}
