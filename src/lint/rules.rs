//! The rules that need no server.

use std::time::Duration;

use super::code::Code;
use super::load::Load;
use super::plan::Plan;
use super::warning::Warning;
use crate::breaker::config::LONGEST;
use crate::breaker::settings::LONGEST_WINDOW;

/// The largest part of the connections that probes may hold.
const MOST_EXTRA: f64 = 0.1;

/// Checks settings.
pub(crate) fn check(plan: &Plan, load: &Load) -> Vec<Warning> {
    let rules = [
        deadline_beyond_request,
        queue_beyond_request,
        minimum_calls_out_of_reach,
        hang_unnoticed,
        open_durations_align,
        capacity_lost,
    ];
    rules.iter().filter_map(|rule| rule(plan, load)).collect()
}

fn deadline_beyond_request(plan: &Plan, load: &Load) -> Option<Warning> {
    let (acquire, query) = (plan.acquire_timeout, plan.query_timeout);
    let (longest, request) = (acquire.saturating_add(query), load.request_deadline?);
    (longest > request).then(|| Warning {
        code: Code::DeadlineBeyondRequest,
        what: "a statement may take longer than its request",
        why: "its client has left, and nobody reads the answer for which a connection is held",
        numbers: format!(
            "`acquire_timeout` {acquire:?} + `query_timeout` {query:?} = {longest:?} > {request:?}"
        ),
        set: match request.checked_sub(acquire).filter(|rest| !rest.is_zero()) {
            Some(rest) => format!("`query_timeout` to at most {rest:?}"),
            None => {
                format!("`acquire_timeout` and `query_timeout` to at most {request:?} together")
            }
        },
    })
}

fn queue_beyond_request(plan: &Plan, load: &Load) -> Option<Warning> {
    let (acquire, request) = (plan.acquire_timeout, load.request_deadline?);
    (acquire >= request).then(|| Warning {
        code: Code::QueueBeyondRequest,
        what: "the queue for a connection outlives its callers",
        why: "callers get their connections after they have left, and those behind them leave, too",
        numbers: match load.calls_per_second {
            Some(rate) => {
                let (all, waiting) = (rate * secs(acquire), rate * secs(request));
                format!(
                    "{rate} calls/s × `acquire_timeout` {acquire:?} = {all:.0} callers in the queue, \
                     of whom {rate} calls/s × {request:?} = {waiting:.0} still wait"
                )
            }
            None => format!("`acquire_timeout` {acquire:?} ≥ {request:?}"),
        },
        set: format!("`acquire_timeout` to less than {request:?}, such as {:?}", request / 2),
    })
}

fn minimum_calls_out_of_reach(plan: &Plan, load: &Load) -> Option<Warning> {
    let (breaker, rate) = (&plan.breaker, load.calls_per_second?);
    let window = breaker.get_window().span()?;
    breaker
        .get_failure_rate()
        .or(breaker.get_slow_call_rate())?;
    let (minimum, reached) = (breaker.get_minimum_calls(), rate * secs(window));
    (reached < f64::from(minimum)).then(|| {
        // Room for a quieter moment, and for the bucket that is not full yet.
        let (fewer, longer) = (reached / 2.0, whole_secs(2.0 * f64::from(minimum) / rate));
        let fewer = (fewer >= 2.0).then(|| format!("`minimum_calls` to {fewer:.0}"));
        let longer = (longer <= LONGEST_WINDOW).then(|| format!("`window` to {longer:?}"));
        let set = match (fewer, longer) {
            (Some(fewer), Some(longer)) => format!("{fewer}, or {longer}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "`Window::calls` and `consecutive_failures`".to_owned(),
        };
        Warning {
            code: Code::MinimumCallsOutOfReach,
            what: "the window never holds enough calls for a rate",
            why: "neither `failure_rate` nor `slow_call_rate` ever opens the breaker",
            numbers: format!(
                "{rate} calls/s × `window` {window:?} = {reached:.1} calls < `minimum_calls` {minimum}"
            ),
            set,
        }
    })
}

fn hang_unnoticed(plan: &Plan, load: &Load) -> Option<Warning> {
    let (breaker, query, request) = (&plan.breaker, plan.query_timeout, load.request_deadline?);
    let slow = breaker.get_slow_call_threshold();
    let is_noticed = breaker.get_stall_after().is_some()
        || query <= request
        || slow.is_some_and(|slow| slow < request);
    (!is_noticed).then(|| Warning {
        code: Code::HangUnnoticed,
        what: "no rule notices a database that hangs",
        why: "calls that their callers give up are no failures, so the breaker stays closed, and every \
              request waits",
        numbers: format!(
            "callers leave after {request:?}; `query_timeout` is {query:?}, `stall_after` off, \
             `slow_call_threshold` {}",
            slow.map_or("off".to_owned(), |slow| format!("{slow:?}"))
        ),
        set: format!("`stall_after`, or `query_timeout` to at most {request:?}"),
    })
}

fn open_durations_align(plan: &Plan, load: &Load) -> Option<Warning> {
    let (breaker, replicas) = (&plan.breaker, load.replicas?);
    (replicas > 1 && breaker.get_jitter() <= 0.0).then(|| {
        let (calls, interval) = match plan.probes {
            true => (1, breaker.get_probe_interval()),
            false => (breaker.get_half_open_probes(), breaker.get_open_duration()),
        };
        let all = u64::from(replicas) * u64::from(calls);
        Warning {
            code: Code::OpenDurationsAlign,
            what: "all instances try the database at the same moment",
            why: "they opened together, so a database that is coming back gets all their probes at once",
            numbers: format!(
                "{replicas} instances × {calls} probes = {all} at once, every {interval:?}, with `jitter` 0"
            ),
            set: "`jitter` to 0.2".to_owned(),
        }
    })
}

fn capacity_lost(plan: &Plan, load: &Load) -> Option<Warning> {
    if plan.probes {
        return None; // no call waits for a database that hangs
    }
    let (breaker, connections) = (&plan.breaker, plan.connections.max(1));
    let (probes, open) = (
        breaker.get_half_open_probes(),
        breaker.get_max_open_duration(),
    );
    let request = load.request_deadline.unwrap_or(Duration::MAX);
    let held = plan.query_timeout.min(request);
    let extra = extra_capacity(probes, held, open, connections);
    (extra > MOST_EXTRA).then(|| {
        let enough = whole_secs(secs(open) * extra / MOST_EXTRA);
        let longer = (enough <= LONGEST).then(|| format!(", or `max_open_duration` to {enough:?}"));
        Warning {
            code: Code::CapacityLost,
            what: "the calls that try a hanging database hold too many connections",
            why: "the service lacks them for as long as the outage lasts",
            numbers: format!(
                "{probes} probes × {held:?} ÷ (`max_open_duration` {open:?} × {connections} connections) \
                 = {:.0} % > {:.0} %",
                100.0 * extra,
                100.0 * MOST_EXTRA
            ),
            set: format!(
                "`active_probing` to `true`{}",
                longer.unwrap_or_default()
            ),
        }
    })
}

/// The equation of the [module documentation](super): the capacity that is needed in addition, while
/// this many probes begin in each open duration and each holds one of the threads.
fn extra_capacity(probes: u32, held: Duration, open: Duration, threads: u32) -> f64 {
    f64::from(probes) * secs(held) / (secs(open) * f64::from(threads))
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Rounds up to whole seconds.
fn whole_secs(secs: f64) -> Duration {
    Duration::from_secs(secs.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equation_has_the_results_that_shopify_published() {
        let extra = |probe, open| {
            let (probe, open) = (Duration::from_millis(probe), Duration::from_secs(open));
            (100.0 * extra_capacity(42, probe, open, 2)).round() as u32
        };
        assert_eq!((extra(250, 2), extra(50, 30)), (263, 4));
    }
}
