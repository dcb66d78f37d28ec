//! Cache policies: how old an answer may be, and when it is served.

use std::time::Duration;

use crate::breaker::config::{ConfigError, check_duration};

/// The largest number of tags of a policy: 4. A read can have more of its own.
pub const MAX_POLICY_TAGS: usize = 4;
/// Default [`CachePolicy::max_entry_bytes`]: 1 MiB.
pub const DEFAULT_MAX_ENTRY_BYTES: u64 = 1 << 20;
/// Default [`CachePolicy::jitter`]: 0.1, a tenth of `fresh_for`.
pub const DEFAULT_JITTER: f64 = 0.1;
/// The longest duration that a policy accepts: 365 days. A longer one is considered a mistake.
pub const LONGEST_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// States how old the cached answers of a read may be, and when they may be served.
///
/// A policy is meant to be a constant. Its name is a namespace: policies with different names never
/// share an answer, and all answers under one policy can be
/// [invalidated](crate::Cache::invalidate_policy) together.
///
/// ```
/// use fusepool::cache::CachePolicy;
/// use std::time::Duration;
///
/// const MENU: CachePolicy = CachePolicy::named("menu")
///     .fresh_for(Duration::from_secs(5))
///     .stale_while_revalidate(Duration::from_secs(30))
///     .stale_if_error(Duration::from_secs(600))
///     .tag("dishes");
/// assert_eq!(MENU.name(), "menu");
/// ```
///
/// The values are checked when the policy is used. An invalid one is a [`ConfigError`], and nothing
/// is sent. A policy is invalid, for instance, if its name is empty, if all its durations are zero,
/// or if one of them is longer than [`LONGEST_AGE`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachePolicy {
    name: &'static str,
    fresh_for: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    database_first: bool,
    tags: [&'static str; MAX_POLICY_TAGS],
    tag_count: usize,
    max_entry_bytes: u64,
    jitter: f64,
}

/// The use that a policy allows for an answer of some age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it, and load a newer one in the background.
    Revalidate,
    /// Query the database; serve it if the database cannot answer.
    Stale,
    /// Never serve it.
    Expired,
}

impl CachePolicy {
    /// A policy with this name, and with all durations zero. It needs at least one of
    /// [`fresh_for`](Self::fresh_for), [`stale_while_revalidate`](Self::stale_while_revalidate) and
    /// [`stale_if_error`](Self::stale_if_error) to be valid.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu").fresh_for(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self {
            name,
            fresh_for: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            database_first: false,
            tags: [""; MAX_POLICY_TAGS],
            tag_count: 0,
            max_entry_bytes: DEFAULT_MAX_ENTRY_BYTES,
            jitter: DEFAULT_JITTER,
        }
    }

    /// The age up to which an answer is served without a query. Default: zero.
    ///
    /// [`jitter`](Self::jitter) shortens it by up to a tenth by default.
    #[must_use]
    pub const fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = time;
        self
    }

    /// The time after [`fresh_for`](Self::fresh_for) during which an answer is served at once, while
    /// a newer one is loaded in the background (`stale-while-revalidate` of
    /// [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861#section-3)). Default: zero.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// // From 5 to 35 seconds of age, an answer is served at once, and loaded anew behind it.
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_while_revalidate(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub const fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// The time after [`fresh_for`](Self::fresh_for) during which an answer is served if the
    /// database cannot answer (`stale-if-error` of
    /// [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861#section-4)). Default: zero.
    ///
    /// This time and [`stale_while_revalidate`](Self::stale_while_revalidate) run at once, not one
    /// after the other. [`max_age`](Self::max_age) is the resulting limit of the age.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600)); // for an outage of ten minutes
    /// ```
    #[must_use]
    pub const fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// Queries the database for every read, and serves an answer of the cache only if the database
    /// cannot answer.
    ///
    /// Such a policy needs [`stale_if_error`](Self::stale_if_error), and must have neither
    /// [`fresh_for`](Self::fresh_for) nor [`stale_while_revalidate`](Self::stale_while_revalidate).
    /// A read never joins a load that started earlier, but reads that wait for the same next load
    /// share it.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// const STOCK: CachePolicy = CachePolicy::named("stock")
    ///     .database_first()
    ///     .stale_if_error(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub const fn database_first(mut self) -> Self {
        self.database_first = true;
        self
    }

    /// Adds a tag. A write that invalidates the tag invalidates all answers under this policy, and
    /// those of other policies and reads with the same tag. At most [`MAX_POLICY_TAGS`].
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .tag("dishes") // as a write says: `.invalidates(&["dishes"])`
    ///     .tag("prices");
    /// ```
    #[must_use]
    pub const fn tag(mut self, tag: &'static str) -> Self {
        if self.tag_count < MAX_POLICY_TAGS {
            self.tags[self.tag_count] = tag;
        }
        self.tag_count += 1;
        self
    }

    /// The largest answer that is stored, in bytes of memory. A larger one is served, but not
    /// stored. At least 1; default: [`DEFAULT_MAX_ENTRY_BYTES`].
    #[must_use]
    pub const fn max_entry_bytes(mut self, bytes: u64) -> Self {
        self.max_entry_bytes = bytes;
        self
    }

    /// The largest fraction by which [`fresh_for`](Self::fresh_for) is shortened at random for each
    /// answer, so that answers loaded together do not expire together. From 0 to 1; default:
    /// [`DEFAULT_JITTER`].
    #[must_use]
    pub const fn jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    /// The name of the policy.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The age that no answer from the cache exceeds: `fresh_for` plus the longer of
    /// `stale_while_revalidate` and `stale_if_error`.
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// let menu = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_while_revalidate(Duration::from_secs(30))
    ///     .stale_if_error(Duration::from_secs(600));
    /// assert_eq!(menu.max_age(), Duration::from_secs(605));
    /// ```
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.fresh_for
            .saturating_add(self.stale_if_error.max(self.stale_while_revalidate))
    }

    pub(crate) fn tags(&self) -> &[&'static str] {
        &self.tags[..self.tag_count.min(MAX_POLICY_TAGS)]
    }

    pub(crate) fn is_database_first(&self) -> bool {
        self.database_first
    }

    pub(crate) fn keeps(&self, bytes: u64) -> bool {
        bytes <= self.max_entry_bytes
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::new("cache policy", "\"\"", "a name"));
        }
        for (field, time) in [
            ("fresh_for", self.fresh_for),
            ("stale_while_revalidate", self.stale_while_revalidate),
            ("stale_if_error", self.stale_if_error),
        ] {
            if !time.is_zero() {
                check_duration(field, time, LONGEST_AGE)?;
            }
        }
        if self.database_first && !(self.fresh_for + self.stale_while_revalidate).is_zero() {
            let rule = "zero in a policy with `database_first`, which queries the database for \
                        every read";
            let set = format!("{:?} and {:?}", self.fresh_for, self.stale_while_revalidate);
            return Err(ConfigError::new(
                "fresh_for and stale_while_revalidate",
                set,
                rule,
            ));
        }
        if self.max_age().is_zero() {
            let rule = "longer than zero if `fresh_for` and `stale_while_revalidate` are zero, \
                        since the cache would never be used otherwise";
            return Err(ConfigError::new(
                "stale_if_error",
                self.stale_if_error,
                rule,
            ));
        }
        if self.tag_count > MAX_POLICY_TAGS {
            let rule = format!("given at most {MAX_POLICY_TAGS} times; a read can have more tags");
            return Err(ConfigError::new("tag", self.tag_count, rule));
        }
        if self.max_entry_bytes == 0 {
            let rule = "at least 1, since nothing could be stored otherwise";
            return Err(ConfigError::new("max_entry_bytes", 0, rule));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(ConfigError::new("jitter", self.jitter, "from 0 to 1"));
        }
        Ok(())
    }

    /// The use that the policy allows for an answer of this age. `chance`, from 0 to 1, is the fraction
    /// of the jitter that applies to the answer. An answer that is in doubt, because a write may have
    /// changed it, is served only if the database cannot answer.
    pub(crate) fn freshness(&self, age: Duration, chance: f64, is_doubted: bool) -> Freshness {
        let fresh_for = self.fresh_for.mul_f64(1.0 - self.jitter * chance);
        let past = age.saturating_sub(self.fresh_for);
        if age < fresh_for && !is_doubted {
            Freshness::Fresh
        } else if past < self.stale_while_revalidate && !is_doubted {
            Freshness::Revalidate
        } else if past < self.stale_if_error {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MENU: CachePolicy = CachePolicy::named("menu")
        .fresh_for(SECOND)
        .stale_while_revalidate(Duration::from_secs(2))
        .stale_if_error(Duration::from_secs(5));

    fn at(seconds: f64) -> Freshness {
        MENU.freshness(Duration::from_secs_f64(seconds), 0.0, false)
    }

    #[test]
    fn an_answer_is_fresh_then_revalidated_then_stale_then_expired() {
        assert_eq!(at(0.0), Freshness::Fresh);
        assert_eq!(at(0.999), Freshness::Fresh);
        assert_eq!(at(1.0), Freshness::Revalidate);
        assert_eq!(at(2.999), Freshness::Revalidate);
        assert_eq!(at(3.0), Freshness::Stale);
        assert_eq!(at(5.999), Freshness::Stale);
        assert_eq!(at(6.0), Freshness::Expired);
        assert_eq!(MENU.max_age(), Duration::from_secs(6));
    }

    #[test]
    fn jitter_shortens_freshness_and_nothing_else() {
        let unlucky = |seconds| MENU.freshness(Duration::from_secs_f64(seconds), 1.0, false);
        assert_eq!(unlucky(0.899), Freshness::Fresh);
        assert_eq!(unlucky(0.901), Freshness::Revalidate);
        assert_eq!(unlucky(5.999), Freshness::Stale);
        assert_eq!(unlucky(6.0), Freshness::Expired);
    }

    #[test]
    fn a_database_first_policy_has_no_fresh_answers() {
        let policy = CachePolicy::named("x")
            .database_first()
            .stale_if_error(SECOND);
        assert_eq!(policy.check(), Ok(()));
        assert_eq!(
            policy.freshness(Duration::ZERO, 0.0, false),
            Freshness::Stale
        );
        assert_eq!(policy.freshness(SECOND, 0.0, false), Freshness::Expired);
    }

    #[test]
    fn an_answer_in_doubt_is_served_only_if_the_database_cannot_answer() {
        let doubted = |policy: CachePolicy, age| policy.freshness(age, 0.0, true);
        assert_eq!(doubted(MENU, Duration::ZERO), Freshness::Stale);
        assert_eq!(doubted(MENU, 2 * SECOND), Freshness::Stale);
        assert_eq!(doubted(MENU, 6 * SECOND), Freshness::Expired);
        let never_stale = CachePolicy::named("x").fresh_for(SECOND);
        assert_eq!(doubted(never_stale, SECOND), Freshness::Expired);
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_its_field() {
        let message_of = |policy: CachePolicy| policy.check().unwrap_err().to_string();
        for (policy, field) in [
            (CachePolicy::named("").fresh_for(SECOND), "cache policy"),
            (CachePolicy::named("x"), "stale_if_error"),
            (
                MENU.database_first(),
                "fresh_for and stale_while_revalidate",
            ),
            (MENU.stale_if_error(Duration::MAX), "stale_if_error"),
            (MENU.tag("a").tag("b").tag("c").tag("d").tag("e"), "tag"),
            (MENU.max_entry_bytes(0), "max_entry_bytes"),
            (MENU.jitter(1.5), "jitter"),
            (MENU.jitter(f64::NAN), "jitter"),
        ] {
            let message = message_of(policy);
            assert!(message.contains(&format!("`{field}`")), "{message}");
        }
    }
}
