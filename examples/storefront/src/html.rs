//! Escapes and formats values for HTML.

use std::fmt::{self, Display, Formatter, Write};

/// Text, escaped for use between tags or in the quoted value of an attribute.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A price, in cents.
pub(crate) struct Price(pub(crate) i64);

impl Display for Price {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "€ {}.{:02}", self.0 / 100, self.0 % 100)
    }
}
