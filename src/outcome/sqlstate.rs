//! Classifies the SQLSTATEs of PostgreSQL, for all drivers.
//!
#![doc = include_str!("sqlstate.md")]

use crate::breaker::verdict::Class;

/// The class of an error that the server reported with this code and message.
pub(crate) fn classify(code: &str, message: &str) -> Class {
    match code {
        "53300" => Class::Starved,
        "25006" => Class::FailureAndClose,
        "57014" if message.contains("statement timeout") => Class::Slow,
        "57014" | "40001" | "40P01" | "55P03" => Class::Ignored,
        "57P01" | "57P02" | "57P03" | "57P05" | "XX000" | "XX001" | "XX002" => Class::Failure,
        _ => match code.get(..2) {
            Some("08" | "53" | "58") => Class::Failure,
            Some("28") => Class::Ignored,
            _ => Class::Success,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries all classes of codes, and all codes of the classes of which the table names single
    /// ones.
    #[test]
    fn the_table_is_complete() {
        let mut found = [const { Vec::new() }; 5];
        let digits = || (b'0'..=b'9').chain(b'A'..=b'Z').map(char::from);
        for class in digits().flat_map(|a| digits().map(move |b| format!("{a}{b}"))) {
            for code in codes_of(&class) {
                let row = match classify(&code, "canceling statement due to user request") {
                    Class::Failure => 0,
                    Class::FailureAndClose => 1,
                    Class::Ignored => 2,
                    Class::Starved => 3,
                    Class::Success => continue,
                    Class::Slow => panic!("{code}"),
                };
                found[row].push(code);
            }
        }
        let timed_out = classify("57014", "canceling statement due to statement timeout");
        found[4].push(format!("{timed_out:?}"));
        assert_eq!(
            found.map(|codes| codes.join(" ")),
            [
                "08000 53000 53100 53200 53400 57P01 57P02 57P03 57P05 58000 XX000 XX001 XX002",
                "25006",
                "28000 40001 40P01 55P03 57014",
                "53300",
                "Slow",
            ]
        );
    }

    fn codes_of(class: &str) -> Vec<String> {
        if class == "53" {
            return ["53000", "53100", "53200", "53300", "53400"]
                .map(str::to_owned)
                .to_vec();
        }
        if !["25", "40", "55", "57", "XX"].contains(&class) {
            return vec![format!("{class}000")];
        }
        let digits = || (b'0'..=b'9').chain(b'A'..=b'Z').map(char::from);
        let pairs = || digits().flat_map(|a| digits().map(move |b| (a, b)));
        pairs()
            .flat_map(|(a, b)| digits().map(move |c| (a, b, c)))
            .map(|(a, b, c)| format!("{class}{a}{b}{c}"))
            .collect()
    }

    #[test]
    fn an_unknown_code_is_an_answer() {
        for code in ["", "4", "é123", "99999"] {
            assert_eq!(classify(code, ""), Class::Success, "{code}");
        }
    }
}
