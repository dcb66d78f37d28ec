//! How old an answer may get.

use std::time::Duration;

use crate::breaker::config::{ConfigError, check_duration};

/// The tags a policy can have; a query can be given more.
pub const MAX_POLICY_TAGS: usize = 4;
/// Default [`CachePolicy::max_entry_bytes`]: 1 MiB.
pub const DEFAULT_MAX_ENTRY_BYTES: u64 = 1 << 20;
/// Default [`CachePolicy::jitter`]: a tenth.
pub const DEFAULT_JITTER: f64 = 0.1;
/// The longest time a policy can name: a year. What is longer is a slip.
pub const LONGEST_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How old the answers of a query may get, and when they may be served.
///
/// Meant to be a constant with a name, which is also a namespace: two policies never share an
/// answer, and all answers under one can be [invalidated](crate::cache) together.
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
/// Values that make no sense are a [`ConfigError`] when the policy is first used, before anything
/// is sent.
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

/// What may be done with an answer of some age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Serve it.
    Fresh,
    /// Serve it, and ask behind.
    Revalidate,
    /// Ask; serve it if there is no answer.
    Stale,
    /// Never serve it.
    Expired,
}

impl CachePolicy {
    /// A policy under which nothing is ever served, until it is told more.
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

    /// For so long an answer is served without asking. Default: zero.
    #[must_use]
    pub const fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = time;
        self
    }

    /// For so long after that it is served at once, while a background load asks for a newer one
    /// (`stale-while-revalidate` of [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861#section-3)).
    /// Default: zero.
    #[must_use]
    pub const fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// For so long after [`fresh_for`](Self::fresh_for) it is served where the database cannot
    /// answer (`stale-if-error` of [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861#section-4)).
    /// Default: zero. The oldest answer that is ever served is therefore as old as `fresh_for`
    /// and the longer of `stale_if_error` and `stale_while_revalidate` together: [`max_age`](Self::max_age).
    #[must_use]
    pub const fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    /// The database is always asked first; the cache is there for when it cannot answer. Excludes
    /// [`fresh_for`](Self::fresh_for) and [`stale_while_revalidate`](Self::stale_while_revalidate).
    #[must_use]
    pub const fn database_first(mut self) -> Self {
        self.database_first = true;
        self
    }

    /// A tag, by which a write can invalidate all answers under this policy and others. At most
    /// [`MAX_POLICY_TAGS`].
    #[must_use]
    pub const fn tag(mut self, tag: &'static str) -> Self {
        if self.tag_count < MAX_POLICY_TAGS {
            self.tags[self.tag_count] = tag;
        }
        self.tag_count += 1;
        self
    }

    /// Answers that take more memory are served, but not kept. Default:
    /// [`DEFAULT_MAX_ENTRY_BYTES`].
    #[must_use]
    pub const fn max_entry_bytes(mut self, bytes: u64) -> Self {
        self.max_entry_bytes = bytes;
        self
    }

    /// By how much of `fresh_for`, at most, an answer is fresh for less, by chance, so that what was loaded
    /// together does not expire together. From 0 to 1; default: [`DEFAULT_JITTER`].
    #[must_use]
    pub const fn jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The age that no answer served from the cache exceeds.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.fresh_for
            .saturating_add(self.stale_if_error.max(self.stale_while_revalidate))
    }

    pub(crate) fn tags(&self) -> &[&'static str] {
        &self.tags[..self.tag_count.min(MAX_POLICY_TAGS)]
    }

    pub(crate) fn always_asks(&self) -> bool {
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
            let rule = "absent from a policy that is `database_first`, which always asks first";
            let set = format!("{:?} and {:?}", self.fresh_for, self.stale_while_revalidate);
            return Err(ConfigError::new(
                "fresh_for and stale_while_revalidate",
                set,
                rule,
            ));
        }
        if self.max_age().is_zero() {
            let rule = "longer than zero, or `fresh_for` or `stale_while_revalidate` is: nothing would be served";
            return Err(ConfigError::new(
                "stale_if_error",
                self.stale_if_error,
                rule,
            ));
        }
        if self.tag_count > MAX_POLICY_TAGS {
            let rule = format!("at most {MAX_POLICY_TAGS} times; a query can be given more");
            return Err(ConfigError::new("tag", self.tag_count, rule));
        }
        if self.max_entry_bytes == 0 {
            let rule = "at least 1, or nothing could be kept";
            return Err(ConfigError::new("max_entry_bytes", 0, rule));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(ConfigError::new("jitter", self.jitter, "from 0 to 1"));
        }
        Ok(())
    }

    /// `chance`, from 0 to 1, is the answer's own share of the jitter. One that is doubted, because
    /// a write may have changed it, has to be asked for again first.
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
    fn a_policy_for_fallback_alone_is_never_fresh() {
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
    fn what_is_doubted_is_served_only_for_want_of_an_answer() {
        let doubted = |policy: CachePolicy, age| policy.freshness(age, 0.0, true);
        assert_eq!(doubted(MENU, Duration::ZERO), Freshness::Stale);
        assert_eq!(doubted(MENU, 2 * SECOND), Freshness::Stale);
        assert_eq!(doubted(MENU, 6 * SECOND), Freshness::Expired);
        let never_stale = CachePolicy::named("x").fresh_for(SECOND);
        assert_eq!(doubted(never_stale, SECOND), Freshness::Expired);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |policy: CachePolicy| policy.check().unwrap_err().to_string();
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
            let said = refused(policy);
            assert!(said.contains(&format!("`{field}`")), "{said}");
        }
    }
}
