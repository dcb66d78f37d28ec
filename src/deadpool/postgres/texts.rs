//! What tokio-postgres tells only by the English text of its errors.

use tokio_postgres::Error;

/// Where an error that is no answer of the server comes from.
pub(super) enum Kind {
    /// From the connection, or from data that was received over it.
    Connection,
    /// From the client: nothing was sent.
    Client,
    /// From the login, which client and server cannot agree on.
    Login,
    /// From an answer of the database that was not the expected one.
    Answer,
}

pub(super) const CONNECT: &str = "error connecting to server";

/// The kind of an error. tokio-postgres exposes it only in the error's text:
/// <https://github.com/rust-postgres/rust-postgres/issues/583>,
/// <https://github.com/rust-postgres/rust-postgres/issues/790>. An unknown text counts as an error of
/// the connection.
pub(super) fn kind(error: &Error) -> Kind {
    let text = error.to_string();
    let starts = |beginnings: &[&str]| beginnings.iter().any(|start| text.starts_with(start));
    if starts(&[
        "error serializing parameter",
        "error encoding message",
        "expected ",
        "invalid connection string",
        "invalid configuration",
    ]) {
        Kind::Client
    } else if starts(&["authentication error"]) {
        Kind::Login
    } else if starts(&[
        "error deserializing column",
        "invalid column",
        "query returned an unexpected number of",
    ]) {
        Kind::Answer
    } else {
        Kind::Connection
    }
}
