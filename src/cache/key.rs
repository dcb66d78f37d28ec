//! What tells one answer from another.
//!
//! A key is a keyed 128-bit hash (SipHash-1-3), with a key that is random in each process: nobody who can
//! choose arguments can choose them so that two keys are the same.

use std::any::TypeId;
use std::fmt::{self, Debug, Write};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip128::{Hasher128, SipHasher13};

/// What an answer is kept under.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
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
    // The standard library's own source of random keys.
    let random = || RandomState::new().hash_one(());
    (random(), random())
});

/// Collects all that a key is made of. Parts are told apart by their order, so each has to be
/// added, even an empty one.
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

    /// A value by what it prints. For types of drivers, whose output is known to tell all values
    /// apart; never for a type of a user's, which may hide what it holds.
    pub(crate) fn printed(&mut self, value: &impl Debug) {
        let mut printed = Printed {
            hasher: &mut self.0,
            length: 0,
        };
        // The writer below never fails; and if a driver does, both halves of it are in the key.
        let failed = write!(printed, "{value:?}").is_err();
        let length = printed.length;
        self.0.write_usize(length);
        self.0.write_u8(u8::from(failed));
    }

    /// The key of what was added so far.
    pub(crate) fn finish(&self) -> Key {
        Key(self.0.finish128().as_u128())
    }
}

struct Printed<'h> {
    hasher: &'h mut SipHasher13,
    length: usize,
}

impl Write for Printed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.length += text.len();
        self.hasher.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> Key {
        let mut hasher = KeyHasher::new();
        parts.iter().for_each(|part| hasher.text(part));
        hasher.finish()
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab", ""]), key(&["ab"]));
        assert_ne!(key(&["a", "b"]), key(&["b", "a"]));
    }

    #[test]
    fn what_is_printed_is_kept_apart_from_what_follows() {
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

    #[test]
    fn a_key_tells_nothing_of_what_it_was_made_of() {
        assert!(!format!("{:?}", key(&["secret"])).contains("secret"));
    }
}
