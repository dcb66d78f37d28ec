//! Splits SQL text into tokens, as far as needed to tell what a statement does.

use super::not_a_read::NotARead;

/// The syntax of names, quotes and comments.
///
/// It is that of the default settings of the servers. PostgreSQL with `standard_conforming_strings =
/// off`, and MySQL with the SQL mode `NO_BACKSLASH_ESCAPES`, read some quoted texts in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'s> {
    /// A keyword, a name without quotes, or a number.
    Word(&'s str),
    /// A quoted name, without its quotes. In MySQL, it may be a text.
    Name(&'s str),
    /// A quoted text.
    Text,
    /// Any other character.
    Sign(char),
}

impl Token<'_> {
    /// Whether this is the keyword `word`.
    pub(crate) fn is(self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_one_of(self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }
}

/// The tokens of a text, without white space and comments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'s> {
    rest: &'s str,
    dialect: Dialect,
}

impl<'s> Tokens<'s> {
    pub(crate) fn of(sql: &'s str, dialect: Dialect) -> Self {
        Self { rest: sql, dialect }
    }

    /// The next token; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'s>>, NotARead> {
        let dialect = self.dialect;
        let sql = past_space(self.rest, dialect)?;
        let Some(first) = sql.chars().next() else {
            self.rest = "";
            return Ok(None);
        };
        if is_word(first) {
            // A name may contain a `$`. In PostgreSQL, that begins a quote elsewhere.
            let end = sql.find(|c| !is_word(c) && c != '$').unwrap_or(sql.len());
            let (word, rest) = sql.split_at(end);
            self.rest = rest;
            return match dialect {
                Dialect::Postgres => self.after_prefix(word).map(Some),
                Dialect::MySql | Dialect::Sqlite => Ok(Some(Token::Word(word))),
            };
        }
        let rest = &sql[first.len_utf8()..];
        let backslashes = dialect == Dialect::MySql;
        let (token, rest) = match first {
            '\'' => text(rest, backslashes)?,
            '"' => name(rest, '"', backslashes)?,
            '[' if dialect == Dialect::Sqlite => name(rest, ']', false)?,
            '`' if dialect != Dialect::Postgres => name(rest, '`', false)?,
            '$' if dialect == Dialect::Postgres => past_dollars(rest)?,
            _ => (Token::Sign(first), rest),
        };
        self.rest = rest;
        Ok(Some(token))
    }

    /// The next token, which stays the next one.
    pub(crate) fn peek(&self) -> Result<Option<Token<'s>>, NotARead> {
        { *self }.next()
    }

    /// In PostgreSQL, `E'...'` has backslash escapes, and `U&"..."` has others.
    fn after_prefix(&mut self, word: &'s str) -> Result<Token<'s>, NotARead> {
        if word.eq_ignore_ascii_case("E")
            && let Some(rest) = self.rest.strip_prefix('\'')
        {
            let (token, rest) = text(rest, true)?;
            self.rest = rest;
            return Ok(token);
        }
        if word.eq_ignore_ascii_case("U") && self.rest.starts_with("&\"") {
            return Err(NotARead::Unclear("a name with escapes"));
        }
        Ok(Token::Word(word))
    }
}

/// Whether a character belongs to a word. All databases allow all characters beyond ASCII in a name,
/// also those that look like white space.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// A quoted text, and the text after it. `rest` begins after the opening quote.
fn text(rest: &str, backslashes: bool) -> Result<(Token<'static>, &str), NotARead> {
    let (_, rest) = quoted(rest, '\'', backslashes)?;
    Ok((Token::Text, rest))
}

fn name(rest: &str, quote: char, backslashes: bool) -> Result<(Token<'_>, &str), NotARead> {
    let (name, rest) = quoted(rest, quote, backslashes)?;
    Ok((Token::Name(name), rest))
}

/// The content of a quote, and the text after it. `rest` begins after the opening quote. A doubled
/// quote is treated as two adjacent quoted texts.
fn quoted(rest: &str, quote: char, backslashes: bool) -> Result<(&str, &str), NotARead> {
    let mut characters = rest.char_indices();
    while let Some((place, c)) = characters.next() {
        if c == quote {
            return Ok((&rest[..place], &rest[place + c.len_utf8()..]));
        }
        if c == '\\' && backslashes {
            characters.next();
        }
    }
    Err(NotARead::Unclear("a quote that does not end"))
}

/// `$1` or `$tag$ ... $tag$`, and the text after it. `rest` begins after the first `$`.
fn past_dollars(rest: &str) -> Result<(Token<'static>, &str), NotARead> {
    let tag = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let is_parameter = rest.starts_with(|c: char| c.is_ascii_digit());
    if is_parameter || !rest[tag..].starts_with('$') {
        return Ok((Token::Sign('$'), rest));
    }
    let (tag, body) = rest.split_at(tag + 1);
    let end = format!("${tag}");
    match body.find(&end) {
        Some(place) => Ok((Token::Text, &body[place + end.len()..])),
        None => Err(NotARead::Unclear("a quote that does not end")),
    }
}

/// The text after white space and comments.
fn past_space(mut sql: &str, dialect: Dialect) -> Result<&str, NotARead> {
    loop {
        sql = sql.trim_start_matches(is_space);
        let mysql = dialect == Dialect::MySql;
        let is_line = match sql.strip_prefix("--") {
            // In MySQL, `1--1` is a subtraction.
            Some(rest) => {
                let ends = |c: char| is_space(c) || c.is_ascii_control();
                !mysql || rest.is_empty() || rest.starts_with(ends)
            }
            None => mysql && sql.starts_with('#'),
        };
        if is_line {
            let ends = |c| c == '\n' || c == '\r' && dialect == Dialect::Postgres;
            sql = sql.find(ends).map_or("", |end| &sql[end..]);
        } else if let Some(rest) = sql.strip_prefix("/*") {
            if mysql && (rest.starts_with('!') || rest.starts_with("M!")) {
                return Err(NotARead::Unclear("a comment that some servers execute"));
            }
            sql = past_comment(rest, dialect == Dialect::Postgres)?;
        } else {
            return Ok(sql);
        }
    }
}

/// The text after a block comment. `rest` begins after its opening `/*`.
fn past_comment(mut rest: &str, nests: bool) -> Result<&str, NotARead> {
    let mut depth = 1;
    while depth > 0 {
        let Some(end) = rest.find("*/") else {
            return Err(NotARead::Unclear("a comment that does not end"));
        };
        match rest.find("/*").filter(|&start| nests && start < end) {
            Some(start) => {
                depth += 1;
                rest = &rest[start + 2..];
            }
            None => {
                depth -= 1;
                rest = &rest[end + 2..];
            }
        }
    }
    Ok(rest)
}
