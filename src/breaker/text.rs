//! Reads settings from files and from the environment, where all values may be texts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::config::ConfigError;

/// The value of a setting as text, whatever type it has in the file.
pub(crate) struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl Visitor<'_> for AnyScalar {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, `true` or `false`")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }
}

/// A setting of a file that may be absent: its name and its text.
pub(crate) struct Field(pub(crate) &'static str, pub(crate) Option<Text>);

impl Field {
    /// A duration with its unit.
    pub(crate) fn duration(self) -> Result<Option<Duration>, ConfigError> {
        self.read(DURATION, |text| humantime::parse_duration(text).ok())
    }

    /// A duration with its unit, or `off`.
    pub(crate) fn duration_or_off(self) -> Result<Option<Option<Duration>>, ConfigError> {
        self.or_off(DURATION, |text| humantime::parse_duration(text).ok())
    }

    /// A number.
    pub(crate) fn number<T: FromStr>(self) -> Result<Option<T>, ConfigError> {
        self.read("a number", |text| text.parse().ok())
    }

    /// A number, or `off`.
    pub(crate) fn number_or_off<T: FromStr>(self) -> Result<Option<Option<T>>, ConfigError> {
        self.or_off("a number", |text| text.parse().ok())
    }

    /// `true` or `false`.
    pub(crate) fn flag(self) -> Result<Option<bool>, ConfigError> {
        self.read("`true` or `false`", |text| text.parse().ok())
    }

    fn or_off<T>(
        self,
        rule: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<Option<T>>, ConfigError> {
        self.read(&format!("{rule}, or `off`"), |text| match text {
            "off" => Some(None),
            text => read(text).map(Some),
        })
    }

    pub(crate) fn read<T>(
        self,
        rule: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Self(name, Some(Text(text))) = self else {
            return Ok(None);
        };
        match read(text.trim()) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError::new(name, text, rule)),
        }
    }
}

const DURATION: &str = "a duration with its unit, such as `250ms` or `5s`";
