//! Classifies the error numbers of MySQL and MariaDB, for all drivers.
//!
#![doc = include_str!("errno.md")]

use crate::breaker::verdict::Class;
use crate::outcome::delivery::Delivery;

/// A query that returns a row if the server is read-only. On an Aurora replica, only InnoDB is.
pub(crate) const IS_READ_ONLY: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('read_only', 'super_read_only', 'innodb_read_only') AND Value NOT IN ('OFF', '0')";

/// The class of an error that the server reported with this number and message.
pub(crate) fn classify(number: u16, message: &str) -> Class {
    match number {
        1041 if message.contains("Transaction throttled") => Class::Starved,
        1040 | 1203 | 1226 | 9001 | 9501 => Class::Starved,
        1047 if message == "Unknown command" => Class::Success,
        1021
        | 1028
        | 1030
        | 1037
        | 1041
        | 1042
        | 1043
        | 1047
        | 1053
        | 1077..=1080
        | 1129
        | 1135
        | 1152
        | 1154..=1161
        | 1184
        | 1927
        | 2006
        | 2013
        | 3032
        | 3168
        | 9002 => Class::Failure,
        1105 if is_unavailable(message) => Class::Failure,
        1836 | 1874 => Class::ReadOnly,
        // 1290 names the option of the server. Others, such as --secure-file-priv, are no failure.
        1290 if message.contains("read-only") => Class::ReadOnly,
        1907 if message.contains("query_timeout") => Class::Slow,
        1969 | 3024 => Class::Slow,
        1205 | 1213 | 1317 => Class::Ignored,
        1044 | 1045 | 1049 | 1130 | 1251 | 1698 | 1820 | 1862 | 3118 | 3159 | 3955 | 4031
        | 4151 => Class::Denied,
        _ => Class::Success,
    }
}

/// Whether Vitess had no tablet for the statement. It reports most of its own errors as 1105.
fn is_unavailable(message: &str) -> bool {
    [
        "code = Unavailable",
        "no healthy tablet available",
        "not serving",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// Whether a statement that failed with this error may have had an effect.
pub(crate) fn delivery(number: u16, message: &str) -> Delivery {
    match (number, classify(number, message)) {
        // A failed commit; a statement that a proxy gave up; a connection that was closed meanwhile.
        (1180 | 4031, _) | (1907, Class::Slow) => Delivery::Unknown,
        (1042 | 1043 | 1129 | 1135 | 3032 | 9002, _) | (_, Class::Starved | Class::Denied) => {
            Delivery::NotSent
        }
        (1021 | 1028 | 1030 | 1037 | 1041 | 1047, _) => Delivery::Answered,
        // The connection to the server, or the one behind a proxy, ended, or the server did.
        (_, Class::Failure) => Delivery::Unknown,
        _ => Delivery::Answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_ONLY: &str = "The MariaDB server is running with the --read-only option so it cannot \
                             execute this statement";

    fn with(class: Class, message: &str) -> Vec<u16> {
        let of_class = |&number: &u16| classify(number, message) == class;
        (0..=u16::MAX).filter(of_class).collect()
    }

    #[test]
    fn another_option_of_the_server_is_no_failure() {
        let message = "The MySQL server is running with the --secure-file-priv option so it cannot \
                       execute this statement";
        assert_eq!(classify(1290, message), Class::Success);
    }

    #[test]
    fn the_table_is_complete() {
        assert_eq!(
            with(Class::Failure, READ_ONLY),
            [
                1021, 1028, 1030, 1037, 1041, 1042, 1043, 1047, 1053, 1077, 1078, 1079, 1080, 1129,
                1135, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013,
                3032, 3168, 9002
            ]
        );
        assert_eq!(with(Class::ReadOnly, READ_ONLY), [1290, 1836, 1874]);
        assert_eq!(with(Class::Slow, ""), [1969, 3024]);
        assert_eq!(with(Class::Ignored, ""), [1205, 1213, 1317]);
        assert_eq!(with(Class::Starved, ""), [1040, 1203, 1226, 9001, 9501]);
        assert_eq!(
            with(Class::Denied, ""),
            [
                1044, 1045, 1049, 1130, 1251, 1698, 1820, 1862, 3118, 3159, 3955, 4031, 4151
            ]
        );
        assert!(with(Class::FailureAndClose, READ_ONLY).is_empty());
    }

    #[test]
    fn some_numbers_are_told_apart_by_their_message() {
        for (number, message, class) in [
            (1041, "Transaction throttled", Class::Starved),
            (1047, "Unknown command", Class::Success),
            (
                1105,
                "target: shop.-.primary: vttablet: rpc error: code = Unavailable desc = error \
                 reading from server",
                Class::Failure,
            ),
            (
                1105,
                "target: shop.-.primary: no healthy tablet available for 'keyspace:\"shop\"'",
                Class::Failure,
            ),
            (
                1105,
                "VT12001: unsupported: cross-shard query",
                Class::Success,
            ),
            (
                1907,
                "Query execution was interrupted, query_timeout exceeded",
                Class::Slow,
            ),
        ] {
            assert_eq!(classify(number, message), class, "{number} {message}");
        }
    }

    #[test]
    fn the_outcome_of_a_statement_is_known_only_if_the_server_says_it() {
        let of = |wanted: Delivery| -> Vec<u16> {
            let delivered = |&number: &u16| delivery(number, "query_timeout") == wanted;
            (0..=u16::MAX).filter(delivered).collect()
        };
        assert_eq!(
            of(Delivery::Unknown),
            [
                1053, 1077, 1078, 1079, 1080, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161,
                1180, 1184, 1907, 1927, 2006, 2013, 3168, 4031
            ]
        );
        assert_eq!(
            of(Delivery::NotSent),
            [
                1040, 1042, 1043, 1044, 1045, 1049, 1129, 1130, 1135, 1203, 1226, 1251, 1698, 1820,
                1862, 3032, 3118, 3159, 3955, 4151, 9001, 9002, 9501
            ]
        );
        assert_eq!(
            delivery(1105, "no healthy tablet available"),
            Delivery::Unknown
        );
        assert_eq!(delivery(1105, "syntax error"), Delivery::Answered);
    }
}
