//! The rules about a server that was asked.

use std::time::Duration;

use super::code::Code;
use super::load::Load;
use super::plan::Plan;
use super::warning::Warning;

/// The connections that a server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    max: u32,
    reserved: u32,
    user: Option<u32>,
    database: Option<u32>,
}

impl Room {
    /// Reads four numbers: the server's `max_connections`, how many of them are reserved, and the limits
    /// of the user and of the database, which are negative if there are none.
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let mut numbers = answer.split(' ').map(|number| number.parse::<i64>().ok());
        let mut next = || numbers.next()?;
        let limit = |number: i64| u32::try_from(number).ok();
        Some(Self {
            max: limit(next()?)?,
            reserved: limit(next()?)?,
            user: limit(next()?),
            database: limit(next()?),
        })
    }

    /// The smallest limit, and how it is made up.
    fn tightest(&self) -> (u32, String) {
        let Self {
            max,
            reserved,
            user,
            database,
        } = *self;
        let all = max.saturating_sub(reserved);
        let all = (
            all,
            format!("`max_connections` {max} − {reserved} reserved"),
        );
        let user = user.map(|limit| (limit, "the limit of this user".to_owned()));
        let database = database.map(|limit| (limit, "the limit of this database".to_owned()));
        let others = [user, database].into_iter().flatten();
        others.fold(all, |tightest, other| match other.0 < tightest.0 {
            true => other,
            false => tightest,
        })
    }
}

/// Checks that the pools of all instances fit on the server.
pub(crate) fn check_room(plan: &Plan, load: &Load, room: Room) -> Option<Warning> {
    let (replicas, connections, beside) = (
        load.replicas.unwrap_or(1).max(1),
        plan.connections,
        plan.beside(),
    );
    let all = (u64::from(connections) + u64::from(beside)) * u64::from(replicas);
    let (allowed, made_up_of) = room.tightest();
    (all > u64::from(allowed)).then(|| Warning {
        code: Code::ConnectionsBeyondServer,
        what: "the pools of all instances do not fit on the server",
        why: "it refuses connections when all of them are busy, such as in a deployment or an outage",
        numbers: format!(
            "({connections} connections + {beside} beside the pool) × {replicas} replicas = {all} > \
             {allowed} = {made_up_of}"
        ),
        set: match (allowed / replicas).checked_sub(beside) {
            Some(fits) if fits > 0 => format!("the size of the pool to at most {fits}"),
            _ => format!("the server's limit to at least {all}, or put a pooler in between"),
        },
    })
}

/// Checks that a probe of a server that is well ends in time. `connect` and `ping` are the times that they
/// took; `None`: the ping did not end within `probe_timeout`.
pub(crate) fn check_probe(
    plan: &Plan,
    connect: Duration,
    ping: Option<Duration>,
) -> Option<Warning> {
    let (acquire, probe) = (plan.acquire_timeout, plan.breaker.get_probe_timeout());
    let (numbers, set) = if let Some(ping) = ping.filter(|ping| *ping > probe / 2) {
        (
            format!("a ping took {ping:.1?}, of `probe_timeout` {probe:?}"),
            format!(
                "`probe_timeout` to {:.1?}, or a quicker `probe_query`",
                ping * 4
            ),
        )
    } else if ping.is_none() {
        (
            format!("a ping got no answer in the `probe_timeout` of {probe:?}"),
            "a longer `probe_timeout`, or a quicker `probe_query`".to_owned(),
        )
    } else if connect > acquire / 2 {
        let enough = connect * 4;
        (
            format!("a connect took {connect:.1?}, of `acquire_timeout` {acquire:?}"),
            format!("`acquire_timeout` to {enough:.1?}"),
        )
    } else {
        return None;
    };
    Some(Warning {
        code: Code::ProbesTooSlow,
        what: "probes of a database that is well hardly end in their time",
        why: "a probe that is cut off finds nothing out, so the breaker stays open under load",
        numbers,
        set,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::builder::Builder;

    #[test]
    fn a_connect_that_takes_most_of_its_time_is_too_slow_for_probes() {
        let plan = Plan {
            breaker: Builder::default(),
            acquire_timeout: Duration::from_secs(2),
            query_timeout: Duration::from_secs(30),
            connections: 10,
            probes: true,
            asks: true,
        };
        let ms = Duration::from_millis;
        assert_eq!(check_probe(&plan, ms(900), Some(ms(400))), None);
        let warning = check_probe(&plan, ms(1_100), Some(ms(400))).unwrap();
        assert_eq!(
            warning.numbers,
            "a connect took 1.1s, of `acquire_timeout` 2s"
        );
        assert_eq!(warning.set, "`acquire_timeout` to 4.4s");
    }

    #[test]
    fn the_tightest_limit_counts() {
        let tightest = |answer| Room::parse(answer).unwrap().tightest().0;
        assert_eq!(tightest("100 3 -1 -1"), 97);
        assert_eq!(tightest("100 3 98 -1"), 97);
        assert_eq!(tightest("100 3 20 10"), 10);
        assert_eq!(tightest("100 3 5 10"), 5);
        assert_eq!(Room::parse("100"), None);
    }
}
