//! The database's code for an error.

use std::fmt;

/// The longest code that is kept.
const LONGEST: usize = 15;

/// The database's code for an error, for events and metrics: an SQLSTATE, or the number of an error of
/// MySQL or SQLite.
///
/// ```
/// use fusepool::ErrorCode;
///
/// let code = ErrorCode::new("23505").expect("letters and digits");
/// assert_eq!(code.as_str(), "23505");
/// assert_eq!(ErrorCode::new("duplicate key"), None); // a text is no code
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    bytes: [u8; LONGEST],
    length: u8,
}

impl ErrorCode {
    /// The code, if it consists of 1 to 15 letters and digits of ASCII and underscores.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if code.is_empty() || code.len() > LONGEST || !code.bytes().all(is_plain) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes[..code.len()].copy_from_slice(code.as_bytes());
        let length = code.len() as u8; // at most `LONGEST`
        Some(Self { bytes, length })
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let code = &self.bytes[..usize::from(self.length)];
        std::str::from_utf8(code).unwrap_or_default() // ASCII, always valid
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({})", self.as_str())
    }
}
