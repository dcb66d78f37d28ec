//! The sessions of a database server that serve the connections of a pool.
//!
//! A client that knows the session of a connection can ask the server, over another connection,
//! whether a statement still runs, and stop it. The session is asked for once, when a connection is
//! opened. sqlx and deadpool have no place for it on a connection, so it is found by the time at
//! which the pool created the connection.
//!
//! A pooler that shares its server connections between clients makes this knowledge worthless: a
//! statement may run on any of them. Such a pooler is recognized by a session that serves two
//! connections of the pool, or that is older than its connection. From then on, no session of this
//! pool is known.

#![cfg_attr(
    not(any(test, feature = "sqlx", feature = "deadpool")),
    expect(dead_code, reason = "their adapters use all of this")
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "sqlx")]
use tokio::time::sleep;

use super::created::{ByCreation, Created};
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "deadpool"
))]
use crate::telemetry::backend::Backend;

/// The least time between the creations of two connections. A pool that opens several at once could
/// not tell their sessions apart.
#[cfg(feature = "sqlx")]
const APART: Duration = Duration::from_millis(2);

/// A session of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The server, as it names itself.
    pub(super) server: String,
    /// The process id of PostgreSQL, or the connection id of MySQL.
    pub(super) id: u64,
    /// The start of the session: of two sessions of a server, the later one has the larger number.
    pub(super) started: u64,
    /// The client's address, as the server sees it. Only with MySQL, where an id may be used again
    /// after a restart.
    pub(super) client: String,
}

/// A database system whose sessions can be asked for.
#[derive(Clone, Copy, Debug)]
pub enum System {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
}

impl System {
    /// The system in OpenTelemetry's terms. MariaDB is called `mysql` until its first connection has
    /// [told](Self::version).
    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "deadpool"
    ))]
    pub(crate) fn backend(self) -> Backend {
        Backend::new(match self {
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
        })
    }
}

/// The sessions that serve the connections of a pool.
#[derive(Debug)]
pub struct Sessions {
    pub(super) system: System,
    known: Mutex<ByCreation<Session>>,
    /// A pooler shares its server connections between clients.
    is_shared: AtomicBool,
    /// The server of MySQL may have been restarted, and begun with small ids again.
    was_restarted: AtomicBool,
    /// The time at which a connection was created last.
    #[cfg(feature = "sqlx")]
    last: Mutex<Option<Instant>>,
}

impl Sessions {
    pub(crate) fn new(system: System) -> Self {
        Self {
            system,
            known: Mutex::default(),
            is_shared: AtomicBool::new(false),
            was_restarted: AtomicBool::new(false),
            #[cfg(feature = "sqlx")]
            last: Mutex::default(),
        }
    }

    /// Waits until a connection can be created [`APART`] from the one before.
    ///
    /// Cancellation: may be dropped at any await.
    #[cfg(feature = "sqlx")]
    pub(crate) async fn take_turn(&self) {
        while let Some(too_early) = self.until_turn(Instant::now()) {
            sleep(too_early).await;
        }
    }

    /// The time until another connection may be created. `None`: it is created `now`.
    #[cfg(feature = "sqlx")]
    fn until_turn(&self, now: Instant) -> Option<Duration> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let too_early = (*last).and_then(|last| (last + APART).checked_duration_since(now));
        let too_early = too_early.filter(|wait| !wait.is_zero());
        if too_early.is_none() {
            *last = Some(now);
        }
        too_early
    }

    /// The statement that asks for the session of its own connection.
    pub(crate) fn question(&self) -> String {
        self.system.own_session().to_owned()
    }

    /// Remembers the session of a connection. `answer` is that of [`question`](Self::question).
    pub(crate) fn add(&self, created: Created, answer: Option<&str>) {
        let Some(session) = answer.and_then(|answer| self.system.session(answer)) else {
            return;
        };
        let mut known = self.lock();
        if known.iter().any(|other| *other == session) {
            self.is_shared.store(true, Ordering::Release);
        }
        known.add(created, session);
    }

    /// The session of a connection, if it is known without doubt.
    pub(super) fn find(&self, created: Created) -> Option<Session> {
        if self.is_shared.load(Ordering::Acquire) {
            return None;
        }
        let known = self.lock();
        let mut found = known.of(created);
        let session = found.next()?;
        found.next().is_none().then(|| session.clone())
    }

    fn lock(&self) -> MutexGuard<'_, ByCreation<Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions that are known now.
    pub(super) fn known(&self) -> Vec<Session> {
        let known = self.lock();
        known.iter().cloned().collect()
    }

    /// The session of a connection that was opened after `began`, when these sessions were known. `None`
    /// if it belongs to a pooler: then it is older than the connection, or than another one on its
    /// server. The pool itself may have opened others in the meantime.
    ///
    /// MySQL counts its sessions anew after a restart, under the same name. So when a session there seems
    /// to be older for the first time, the ones before it are forgotten: after a restart, they are gone.
    /// Behind a pooler, it happens again.
    pub(super) fn new_session(
        &self,
        answer: &str,
        began: Instant,
        before: &[Session],
    ) -> Option<Session> {
        let session = self.system.session(answer)?;
        let is_older = (self.system.age(answer)).is_some_and(|age| age > began.elapsed());
        let is_later =
            |other: &Session| other.server == session.server && other.started >= session.started;
        let is_out_of_order = before.iter().any(is_later);
        let may_be_restart = is_out_of_order && matches!(self.system, System::MySql);
        if may_be_restart && !self.was_restarted.swap(true, Ordering::AcqRel) {
            (self.lock().0).retain(|(_, other)| !is_later(other));
            return None;
        }
        if is_older || is_out_of_order {
            self.is_shared.store(true, Ordering::Release);
        }
        (!self.is_shared.load(Ordering::Acquire)).then_some(session)
    }
}

/// Each statement returns one text.
impl System {
    /// Asks for the version, if that tells which system it is.
    pub(super) fn version(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::MySql => Some("SELECT VERSION()"),
        }
    }

    /// Asks how many connections the server has, and how many of them are reserved, and how many this user
    /// and this database may have, which is negative if there is no such limit. PostgreSQL counts for the
    /// user that logged in, and has no such limits for a superuser.
    pub(super) fn room(self) -> &'static str {
        match self {
            Self::Postgres => {
                "SELECT concat_ws(' ', current_setting('max_connections'), \
                 current_setting('superuser_reserved_connections')::int \
                 + coalesce(current_setting('reserved_connections', true)::int, 0), \
                 CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END, \
                 CASE WHEN rolsuper THEN -1 ELSE datconnlimit END) \
                 FROM pg_roles, pg_database \
                 WHERE rolname = session_user AND datname = current_database()"
            }
            // One more than `max_connections` is reserved.
            Self::MySql => {
                "SELECT CONCAT_WS(' ', @@max_connections, 0, \
                 IF(@@max_user_connections = 0, '-1', @@max_user_connections), '-1')"
            }
        }
    }

    /// A PostgreSQL session that is older than ten seconds is that of a pooler: the connection was
    /// opened just now. The third value is its age in microseconds.
    fn own_session(self) -> &'static str {
        match self {
            Self::Postgres => {
                "SELECT concat_ws(' ', pid, (extract(epoch FROM backend_start) * 1000000)::bigint, \
                 (extract(epoch FROM clock_timestamp() - backend_start) * 1000000)::bigint, \
                 concat_ws('@', extract(epoch FROM pg_postmaster_start_time())::text, \
                 inet_server_addr()::text, inet_server_port()::text)) FROM pg_stat_activity \
                 WHERE pid = pg_backend_pid() \
                 AND clock_timestamp() - backend_start < interval '10 seconds'"
            }
            Self::MySql => {
                "SELECT CONCAT_WS(' ', ID, HOST, @@hostname, @@port, @@server_id) \
                 FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()"
            }
        }
    }

    /// The age of the session in an answer to [`own_session`](Self::own_session), at most.
    fn age(self, answer: &str) -> Option<Duration> {
        let micros = match self {
            Self::Postgres => answer.split(' ').nth(2)?.parse().ok()?,
            Self::MySql => return None,
        };
        Some(Duration::from_micros(micros))
    }

    /// Reads the answer to [`own_session`](Self::own_session).
    pub(super) fn session(self, answer: &str) -> Option<Session> {
        let (id, rest) = answer.split_once(' ')?;
        let (second, rest) = rest.split_once(' ')?;
        let id = id.parse().ok()?;
        let (started, client, server) = match self {
            Self::Postgres => (second.parse().ok()?, "", rest.split_once(' ')?.1),
            // Connection ids grow.
            Self::MySql => (id, second, rest),
        };
        // The address becomes part of a statement.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]%".contains(&byte);
        client.bytes().all(is_plain).then(|| Session {
            server: server.to_owned(),
            id,
            started,
            client: client.to_owned(),
        })
    }

    /// Asks for the state of a session. What it hides from this user is `unknown`.
    pub(super) fn state(self, session: &Session) -> String {
        let Session {
            id,
            started,
            client,
            ..
        } = session;
        match self {
            Self::Postgres => format!(
                "SELECT coalesce(max(coalesce(state, 'unknown')), 'gone') FROM pg_stat_activity \
                 WHERE pid = {id} AND \
                 coalesce((extract(epoch FROM backend_start) * 1000000)::bigint = {started}, true)"
            ),
            Self::MySql => format!(
                "SELECT COALESCE(MAX(COMMAND), 'gone') FROM information_schema.PROCESSLIST \
                 WHERE ID = {id} AND HOST = '{client}'"
            ),
        }
    }

    /// Whether a session in this state runs no statement.
    pub(super) fn is_idle(self, state: &str) -> bool {
        match self {
            Self::Postgres => state == "gone" || state.starts_with("idle"),
            Self::MySql => state == "gone" || state == "Sleep",
        }
    }

    /// Whether the server that now has this name is another one in the place of that which had the old
    /// name, so that the sessions of that are gone. MySQL has the same name after a restart.
    #[cfg(feature = "sql")]
    pub(super) fn is_restarted(self, old: &str, new: &str) -> bool {
        let parts = |name: &str| {
            let (started, address) = name.split_once('@')?;
            Some((started.parse::<f64>().ok()?, address.to_owned()))
        };
        match (self, parts(old), parts(new)) {
            (Self::Postgres, Some((before, of)), Some((after, at))) => of == at && before < after,
            _ => false,
        }
    }

    /// Ends a session.
    #[cfg(feature = "sql")]
    pub(super) fn end(self, session: &Session) -> String {
        let Session { id, started, .. } = session;
        match self {
            Self::Postgres => format!(
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE pid = {id} \
                 AND (extract(epoch FROM backend_start) * 1000000)::bigint = {started}"
            ),
            Self::MySql => format!("KILL CONNECTION {id}"),
        }
    }

    /// Stops the statement that runs in a session.
    #[cfg(feature = "sqlx")]
    pub(super) fn stop(self, session: &Session) -> String {
        let Session { id, started, .. } = session;
        match self {
            Self::Postgres => format!(
                "SELECT pg_cancel_backend(pid)::text FROM pg_stat_activity \
                 WHERE pid = {id} AND state = 'active' \
                 AND (extract(epoch FROM backend_start) * 1000000)::bigint = {started}"
            ),
            Self::MySql => format!("KILL QUERY {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "sqlx"))]
    use std::time::Duration;

    use super::*;

    fn at(start: Instant, millis: u64) -> Created {
        let time = start + Duration::from_millis(millis);
        Created {
            from: time,
            to: time,
        }
    }

    #[test]
    fn a_session_is_found_by_the_time_of_its_connection_unless_there_is_doubt() {
        let start = Instant::now();
        let sessions = Sessions::new(System::Postgres);
        sessions.add(at(start, 1), Some("10 1000 9 5"));
        sessions.add(at(start, 2), Some("11 2000 9 5"));
        assert_eq!(sessions.find(at(start, 1)).unwrap().id, 10);
        assert_eq!(sessions.find(at(start, 2)).unwrap().id, 11);
        assert_eq!(sessions.find(at(start, 3)), None);
        let either = Created {
            to: at(start, 2).to,
            ..at(start, 1)
        };
        assert_eq!(sessions.find(either), None);
    }

    /// Regression test: connections that were completed within the same 100 µs had no session for good,
    /// so that nothing stopped their abandoned statements.
    #[cfg(feature = "sqlx")]
    #[test]
    fn connections_that_are_opened_together_are_completed_apart() {
        let (start, sessions) = (Instant::now(), Sessions::new(System::MySql));
        let turn = |micros| sessions.until_turn(start + Duration::from_micros(micros));
        let wait = |micros| Some(Duration::from_micros(micros));
        assert_eq!(turn(0), None);
        assert_eq!((turn(0), turn(500)), (wait(2_000), wait(1_500)));
        assert_eq!(turn(3_000), None, "it is late, and so is the next one");
        assert_eq!((turn(3_000), turn(5_000)), (wait(2_000), None));
    }

    /// Behind a pooler, a request to stop a statement would hit another client's.
    #[test]
    fn no_session_is_known_once_a_pooler_was_recognized() {
        let start = Instant::now();
        let shared = Sessions::new(System::Postgres);
        shared.add(at(start, 1), Some("10 1000 9 5"));
        shared.add(at(start, 2), Some("10 1000 9 5"));
        assert_eq!(shared.find(at(start, 1)), None);

        let young = Sessions::new(System::Postgres);
        let opened = |age| young.new_session(&format!("12 3000 {age} 5"), start, &[]);
        assert!(opened(0).is_some());
        assert_eq!(opened(9_000_000), None, "it is older than its connection");
        assert_eq!(opened(0), None);

        let old = Sessions::new(System::MySql);
        old.add(at(start, 1), Some("10 localhost:1 host 3306 1"));
        let before = old.known();
        let opened = |answer, before: &[_]| old.new_session(answer, start, before).is_some();
        assert!(opened("9 localhost:2 another 3306 2", &before));
        assert!(opened("9 localhost:2 host 3306 1", &[]));
        assert!(old.find(at(start, 1)).is_some());
        assert!(!opened("9 localhost:2 host 3306 1", &before));
        assert_eq!(old.find(at(start, 1)), None);
        old.add(at(start, 2), Some("11 localhost:3 host 3306 1"));
        assert!(
            old.find(at(start, 2)).is_some(),
            "it may have been a restart"
        );
        assert!(!opened("9 localhost:4 host 3306 1", &old.known()));
        assert_eq!(old.find(at(start, 2)), None, "it is a pooler");
    }

    /// Regression test: after a restart of MySQL, which numbers its sessions anew, the pool took the server
    /// for a pooler, and stopped no abandoned statement any more.
    #[test]
    fn a_restart_of_mysql_is_no_pooler() {
        let start = Instant::now();
        let sessions = Sessions::new(System::MySql);
        sessions.add(at(start, 1), Some("900 localhost:1 host 3306 1"));
        let opened = |answer| sessions.new_session(answer, start, &sessions.known());
        assert_eq!(opened("12 localhost:2 host 3306 1"), None);
        sessions.add(at(start, 2), Some("13 localhost:3 host 3306 1"));
        assert_eq!(sessions.find(at(start, 2)).unwrap().id, 13);
        assert_eq!(opened("14 localhost:4 host 3306 1").unwrap().id, 14);
    }

    #[cfg(feature = "sql")]
    #[test]
    fn a_server_that_started_later_at_the_same_address_has_no_old_session() {
        let is_restarted = |old, new| System::Postgres.is_restarted(old, new);
        assert!(is_restarted(
            "1700000000.5@10.0.0.1@5432",
            "1700000001.25@10.0.0.1@5432"
        ));
        assert!(!is_restarted(
            "1700000001.25@10.0.0.1@5432",
            "1700000000.5@10.0.0.1@5432"
        ));
        assert!(!is_restarted(
            "1700000000.5@10.0.0.1@5432",
            "1700000001.25@10.0.0.2@5432"
        ));
        assert!(
            !is_restarted("1700000000.5", "1700000001.25"),
            "sockets have no address"
        );
    }

    #[test]
    fn an_address_that_would_change_a_statement_is_refused() {
        assert_eq!(System::MySql.session("10 x'-- host 3306 1"), None);
    }
}
