//! A statement by its text, or prepared.

use tokio_postgres::Statement;

/// A statement by its text, or one that was prepared: what object-safe methods take in the place of
/// anything that is [`ToStatement`](tokio_postgres::ToStatement).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Query<'q> {
    /// Its text.
    Text(&'q str),
    /// Prepared on the connection it is run on.
    Prepared(&'q Statement),
}

impl<'q> From<&'q str> for Query<'q> {
    fn from(sql: &'q str) -> Self {
        Self::Text(sql)
    }
}

impl<'q> From<&'q String> for Query<'q> {
    fn from(sql: &'q String) -> Self {
        Self::Text(sql)
    }
}

impl<'q> From<&'q Statement> for Query<'q> {
    fn from(statement: &'q Statement) -> Self {
        Self::Prepared(statement)
    }
}

/// Without the text: it may hold what is nobody's business.
impl std::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Prepared(_) => "Prepared",
        })
    }
}
