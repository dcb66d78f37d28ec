//! Classifies the error numbers of MySQL and MariaDB, for all drivers.
//!
#![doc = include_str!("errno.md")]

use crate::breaker::verdict::Class;

/// The class of an error that the server reported with this number and message.
pub(crate) fn classify(number: u16, message: &str) -> Class {
    match number {
        1040 => Class::Starved,
        1047 | 1053 | 1129 | 1158..=1161 | 1927 | 2006 | 2013 | 4031 => Class::Failure,
        1836 => Class::FailureAndClose,
        // 1290 names the option of the server. Others, such as --secure-file-priv, are no failure.
        1290 if message.contains("read-only") => Class::FailureAndClose,
        1969 | 3024 => Class::Slow,
        1044 | 1045 | 1205 | 1213 | 1317 => Class::Ignored,
        _ => Class::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ_ONLY: &str = "The MariaDB server is running with the --read-only option so it cannot \
                             execute this statement";

    #[test]
    fn another_option_of_the_server_is_no_failure() {
        let message = "The MySQL server is running with the --secure-file-priv option so it cannot \
                       execute this statement";
        assert_eq!(classify(1290, message), Class::Success);
    }

    #[test]
    fn the_table_is_complete() {
        let of = |class: Class| -> Vec<u16> {
            (0..=u16::MAX)
                .filter(|&code| classify(code, READ_ONLY) == class)
                .collect()
        };
        assert_eq!(
            of(Class::Failure),
            [
                1047, 1053, 1129, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 4031
            ]
        );
        assert_eq!(of(Class::FailureAndClose), [1290, 1836]);
        assert_eq!(of(Class::Slow), [1969, 3024]);
        assert_eq!(of(Class::Ignored), [1044, 1045, 1205, 1213, 1317]);
        assert_eq!(of(Class::Starved), [1040]);
    }
}
