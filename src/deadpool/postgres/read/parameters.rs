//! Parameters that own their encoded values, so that they can be part of a cache key, and can be sent
//! later, in another task, or twice.

use std::error::Error;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::error::ReadError;
use crate::cache::key::KeyHasher;

/// One encoded parameter.
#[derive(Clone)]
pub(super) struct Parameter {
    oid: u32,
    is_text: bool,
    /// `None` for NULL.
    value: Option<Bytes>,
}

/// Encodes `values` as parameters of the types `types`.
pub(super) fn encode(
    types: &[Type],
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Parameter>, ReadError> {
    if types.len() != values.len() {
        return Err(ReadError::ParameterCount {
            expected: types.len(),
            given: values.len(),
        });
    }
    let pairs = types.iter().zip(values);
    pairs.map(|(of, value)| Parameter::of(of, *value)).collect()
}

impl Parameter {
    fn of(of: &Type, value: &(dyn ToSql + Sync)) -> Result<Self, ReadError> {
        let mut encoded = BytesMut::new();
        let is_null = (value.to_sql_checked(of, &mut encoded))
            .map_err(|error| ReadError::Encode(error.into()))?;
        Ok(Self {
            oid: of.oid(),
            is_text: matches!(value.encode_format(of), Format::Text),
            value: matches!(is_null, IsNull::No).then(|| encoded.freeze()),
        })
    }

    /// Adds the parameter to a key: its type, its format and its value.
    pub(super) fn add_to(&self, key: &mut KeyHasher) {
        key.add(&(self.oid, self.is_text, self.value.is_some()));
        key.bytes(self.value.as_deref().unwrap_or_default());
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.value {
            Some(value) => {
                out.put_slice(value);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    /// Always `true`: the statement is prepared with the types that the values were encoded for.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(of, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        match self.is_text {
            true => Format::Text,
            false => Format::Binary,
        }
    }
}

// Not derived: values may be personal data and must not be printed.
impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter")
            .field("oid", &self.oid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// All of these lists differ to the database.
    #[test]
    fn different_parameters_have_different_keys() {
        let text = |value: &str| encode(&[Type::TEXT], &[&value]).unwrap();
        let pair = |values: [Option<&str>; 2]| {
            encode(&[Type::TEXT; 2], &[&values[0], &values[1]]).unwrap()
        };
        let lists = [
            Vec::new(),
            text(""),
            text("a"),
            text(&"a".repeat(10_000)),
            encode(&[Type::TEXT], &[&None::<&str>]).unwrap(),
            encode(&[Type::BYTEA], &[&b"a".as_slice()]).unwrap(),
            encode(&[Type::VARCHAR], &[&"a"]).unwrap(),
            encode(&[Type::INT4], &[&1_i32]).unwrap(),
            encode(&[Type::INT8], &[&1_i64]).unwrap(),
            encode(&[Type::INT4], &[&0_i32]).unwrap(),
            encode(&[Type::BOOL], &[&true]).unwrap(),
            encode(&[Type::FLOAT8], &[&0.0_f64]).unwrap(),
            encode(&[Type::FLOAT8], &[&-0.0_f64]).unwrap(),
            encode(&[Type::FLOAT8], &[&f64::NAN]).unwrap(),
            encode(&[Type::TEXT_ARRAY], &[&vec!["a", "b"]]).unwrap(),
            encode(&[Type::TEXT_ARRAY], &[&vec!["ab", ""]]).unwrap(),
            encode(&[Type::TEXT_ARRAY], &[&vec![Some("a"), None]]).unwrap(),
            pair([Some("a"), None]),
            pair([None, Some("a")]),
            pair([None, None]),
            pair([Some("a"), Some("")]),
            pair([Some(""), Some("a")]),
        ];
        let mut known = HashMap::new();
        for list in &lists {
            let mut key = KeyHasher::new();
            for parameter in list {
                parameter.add_to(&mut key);
            }
            let other = known.insert(key.finish(), format!("{list:?}"));
            assert!(other.is_none(), "{list:?} and {other:?}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_that_does_not_print_it() {
        let refused = encode(&[Type::INT4], &[&"hunter2"]).unwrap_err();
        assert!(matches!(refused, ReadError::Encode(_)), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        let refused = encode(&[Type::INT4], &[]).unwrap_err();
        assert!(refused.to_string().contains("1 parameter"), "{refused}");
    }
}
