//! What diesel-async tells only by the English text of its errors.

#[cfg(feature = "diesel-postgres")]
use diesel::result::DatabaseErrorKind;

#[cfg(feature = "diesel-postgres")]
use crate::outcome::sqlstate::code_of_pooler;

/// The starts of messages about mistakes of the application, which a driver detects before it sends
/// anything: of tokio-postgres, then of mysql_async.
pub(super) const CLIENT_ERRORS: [&str; 6] = [
    "error serializing parameter ",
    "error encoding message to server",
    "expected ", // so many parameters
    "Driver error: `Statement takes ",
    "Driver error: `MySQL supports up to ",
    "Driver error: `Packet too large",
];

/// The starts of mysql_async's messages for errors that no server reported. diesel-async gives them
/// the same kind as errors of the server.
pub(super) const DRIVER_ERRORS: [&str; 3] =
    ["Input/output error: ", "Driver error: ", "Other error: "];

/// The server's error number, derived from its message, because diesel-async drops the number. 0
/// for a message that is not in [`NUMBERS`].
/// diesel has no place for the number: <https://github.com/diesel-rs/diesel/pull/5232>.
#[cfg(feature = "diesel-mysql")]
pub(super) fn number(message: &str) -> u16 {
    NUMBERS
        .iter()
        .find(|(start, later, _)| message.starts_with(start) && message.contains(later))
        .map_or(0, |&(_, _, number)| number)
}

/// The starts of messages in English, a text that comes later in them, and their error numbers. The
/// first match counts.
#[cfg(feature = "diesel-mysql")]
const NUMBERS: [(&str, &str, u16); 48] = [
    ("Too many connections", "", 1040),
    (
        "User ",
        "already has more than 'max_user_connections'",
        1203,
    ),
    ("User ", " has exceeded the ", 1226),
    ("Disk full ", "", 1021),
    ("Sort aborted", "", 1028),
    ("Got error ", " from storage engine", 1030),
    ("Got error ", " during COMMIT", 1180),
    ("Out of memory", "", 1041),
    ("Can't get hostname for your address", "", 1042),
    ("Bad handshake", "", 1043),
    ("Unknown database ", "", 1049),
    ("Shutdown complete", "", 1079),
    ("Host ", " is not allowed to connect", 1130),
    ("Can't create a new thread", "", 1135),
    ("Aborted connection ", "", 1152),
    ("You must reset your password", "", 1820),
    ("You must SET PASSWORD", "", 1820),
    ("Your password has expired", "", 1862),
    ("InnoDB is in read only mode", "", 1874),
    ("MySQL server has gone away", "", 2006),
    ("Lost connection to MySQL server", "", 2013),
    ("The server is currently in offline mode", "", 3032),
    ("Connections using insecure transport", "", 3159),
    ("Server isn't available", "", 3168),
    ("Max connect timeout reached", "", 9001),  // ProxySQL
    ("Max connect failure", "", 9002),          // ProxySQL
    ("Timed-out waiting to acquire", "", 9501), // RDS Proxy
    ("target: ", "", 1105),                     // Vitess
    ("Query execution was interrupted, query_timeout", "", 1907), // ProxySQL
    ("WSREP has not yet prepared node", "", 1047),
    ("Server shutdown in progress", "", 1053),
    (
        "Host ",
        " is blocked because of many connection errors",
        1129,
    ),
    ("Got an error reading communication packets", "", 1158),
    ("Got timeout reading communication packets", "", 1159),
    ("Got an error writing communication packets", "", 1160),
    ("Got timeout writing communication packets", "", 1161),
    ("Connection was killed", "", 1927),
    ("The client was disconnected by the server", "", 4031),
    ("Running in read-only mode", "", 1836),
    ("The MySQL server is running with ", "", 1290),
    ("The MariaDB server is running with ", "", 1290),
    (
        "Query execution was interrupted (max_statement_time exceeded)",
        "",
        1969,
    ),
    ("Query was interrupted: execution time limit", "", 1969),
    (
        "Query execution was interrupted, maximum statement execution time",
        "",
        3024,
    ),
    ("Query execution was interrupted", "", 1317),
    ("Access denied for user ", "", 1045),
    ("Lock wait timeout exceeded", "", 1205),
    ("Deadlock found when trying to get lock", "", 1213),
];

/// The server's SQLSTATE, derived from the error's kind and message, because diesel-async drops the
/// code. Empty for a message that is not in [`CODES`].
/// diesel has no place for the code: <https://github.com/diesel-rs/diesel/pull/5232>.
#[cfg(feature = "diesel-postgres")]
pub(super) fn code(kind: DatabaseErrorKind, message: &str) -> &'static str {
    match kind {
        DatabaseErrorKind::SerializationFailure => "40001",
        DatabaseErrorKind::ReadOnlyTransaction => "25006",
        DatabaseErrorKind::RestrictViolation => "23001",
        DatabaseErrorKind::NotNullViolation => "23502",
        DatabaseErrorKind::ForeignKeyViolation => "23503",
        DatabaseErrorKind::UniqueViolation => "23505",
        DatabaseErrorKind::CheckViolation => "23514",
        DatabaseErrorKind::ExclusionViolation => "23P01",
        DatabaseErrorKind::Unknown => CODES
            .iter()
            .find(|(start, _)| message.starts_with(start))
            .map(|&(_, code)| code)
            .or_else(|| code_of_pooler(message))
            .unwrap_or_default(),
        _ => "",
    }
}

/// The starts of messages in English, with their SQLSTATEs. The first match counts.
#[cfg(feature = "diesel-postgres")]
const CODES: [(&str, &str); 22] = [
    ("sorry, too many clients already", "53300"),
    ("remaining connection slots are reserved", "53300"),
    ("too many connections for ", "53300"),
    ("out of memory", "53200"),
    ("out of shared memory", "53200"),
    ("could not extend file", "53100"),
    ("could not write to file", "53100"),
    (
        "terminating connection due to administrator command",
        "57P01",
    ),
    ("terminating connection because of crash", "57P02"),
    ("the database system is ", "57P03"),
    (
        "terminating connection due to idle-session timeout",
        "57P05",
    ),
    ("Timed-out waiting to acquire database connection", "08000"),
    ("result is ambiguous", "40003"), // CockroachDB
    ("could not access file", "58P01"),
    ("could not open file", "58P01"),
    ("could not read ", "58030"),
    ("could not fsync file", "58030"),
    ("invalid page in block", "XX001"),
    ("canceling statement due to lock timeout", "55P03"),
    ("canceling statement due to ", "57014"),
    ("deadlock detected", "40P01"),
    ("password authentication failed", "28P01"),
];
