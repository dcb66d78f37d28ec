//! The keys of cached answers.
//!
//! A key is a keyed 128-bit hash (SipHash-1-3). The hash key is random in each process, so that an
//! attacker who can choose arguments cannot choose two that collide.

use std::any::TypeId;
#[cfg(feature = "sqlx")]
use std::fmt::Write;
use std::fmt::{self, Debug};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
#[cfg(feature = "sqlx")]
use std::mem::take;
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher13};

/// The key of a cached answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    /// The lower 64 bits.
    pub(crate) fn low(self) -> u64 {
        self.0 as u64
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:032x})", self.0)
    }
}

static SECRET: LazyLock<(u64, u64)> = LazyLock::new(|| {
    // The standard library's source of random keys.
    let random = || RandomState::new().hash_one(());
    (random(), random())
});

/// Hashes the parts of a key. Parts are identified by their order, so every part must be added, even
/// an empty one.
#[derive(Clone, Debug)]
pub(crate) struct KeyHasher(SipHasher13);

impl KeyHasher {
    pub(crate) fn new() -> Self {
        let (one, two) = *SECRET;
        Self(SipHasher13::new_with_keys(one, two))
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }

    pub(crate) fn add(&mut self, part: &impl Hash) {
        part.hash(&mut self.0);
    }

    pub(crate) fn type_id(&mut self, id: TypeId) {
        self.add(&id);
    }

    /// Adds a value by its `Debug` output. Only for types of drivers, whose output is known to
    /// differ for different values. The `Debug` of a user's type may hide its content.
    #[cfg(feature = "sqlx")]
    pub(crate) fn printed(&mut self, value: &impl Debug) {
        let mut printed = Printed {
            hasher: &mut self.0,
            hashed: 0,
            filled: 0,
            buffer: [0; BUFFER],
        };
        // The writer below never fails. If the `Debug` of a driver's type does, the key has the
        // output up to the failure, and the fact that it failed.
        let failed = write!(printed, "{value:?}").is_err();
        printed.flush();
        let length = printed.hashed;
        self.0.write_usize(length);
        self.0.write_u8(u8::from(failed));
    }

    /// The key of the parts added so far.
    pub(crate) fn finish(&self) -> Key {
        Key(self.0.finish128().as_u128())
    }
}

/// The number of bytes that are hashed at once. `Debug` writes many pieces of a few bytes.
#[cfg(feature = "sqlx")]
const BUFFER: usize = 128;

/// Hashes what is written to it.
#[cfg(feature = "sqlx")]
struct Printed<'h> {
    hasher: &'h mut SipHasher13,
    /// The number of bytes that are hashed.
    hashed: usize,
    /// The number of bytes in the buffer, which are hashed next.
    filled: usize,
    buffer: [u8; BUFFER],
}

#[cfg(feature = "sqlx")]
impl Printed<'_> {
    /// Hashes what is in the buffer.
    fn flush(&mut self) {
        let filled = take(&mut self.filled);
        self.hasher.write(&self.buffer[..filled]);
        self.hashed += filled;
    }
}

#[cfg(feature = "sqlx")]
impl Write for Printed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (bytes, end) = (text.as_bytes(), self.filled + text.len());
        match self.buffer.get_mut(self.filled..end) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.filled = end;
            }
            None => {
                self.flush();
                self.hasher.write(bytes);
                self.hashed += bytes.len();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> Key {
        let mut hasher = KeyHasher::new();
        for part in parts {
            hasher.text(part);
        }
        hasher.finish()
    }

    #[test]
    fn keys_differ_if_the_same_text_is_split_in_other_places() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab", ""]), key(&["ab"]));
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
    }

    #[test]
    fn a_printed_value_is_separate_from_the_part_after_it() {
        let key = |value: &str, after: &str| {
            let mut hasher = KeyHasher::new();
            hasher.printed(&value);
            hasher.text(after);
            hasher.finish()
        };
        assert_eq!(key("a", "b"), key("a", "b"));
        assert_ne!(key("a", "b"), key("b", "a"));
        assert_ne!(key("a\"", "b"), key("a", "\"b"));
    }

    /// Text that is printed in pieces of any length has the key of the whole.
    #[cfg(feature = "sqlx")]
    #[test]
    fn a_printed_value_is_the_same_in_any_pieces() {
        let key = |pieces: &[&str]| {
            let mut hasher = KeyHasher::new();
            hasher.printed(&fmt::from_fn(|f| {
                pieces.iter().try_for_each(|piece| f.write_str(piece))
            }));
            hasher.finish()
        };
        let text: String = (0..4 * BUFFER)
            .map(|n| char::from(b'a' + (n % 26) as u8))
            .collect();
        for cut in 0..=text.len() {
            let (one, two) = text.split_at(cut);
            assert_eq!(key(&[one, two]), key(&[&text]), "{cut}");
            let (two, three) = two.split_at(two.len().min(7));
            assert_eq!(key(&[one, two, three]), key(&[&text]), "{cut}");
            assert_ne!(key(&[one, "-", two, three]), key(&[&text]), "{cut}");
        }
    }

    #[test]
    fn a_key_does_not_print_its_parts() {
        assert!(!format!("{:?}", key(&["secret"])).contains("secret"));
    }
}
