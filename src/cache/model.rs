//! A model of writes and reads, against the cache: writes succeed, fail, are given up and take effect
//! later or never, alone, in transactions and in savepoints, while loads race them. The law: no answer that
//! is served as fresh or live is older than the last write that took effect, as far as its caller could
//! know of it. A write that is still in progress may or may not be seen.
//!
//! Each seed is a random interleaving. `SEED=n` runs one, and prints it.

use std::mem::take;
use std::sync::Arc;

use super::answers::Answers;
use super::doubt::{Doubt, Doubts};
use super::entry::{Entry, Loaded};
use super::invalidation::{Generation, Name};
use super::key::{Key, KeyHasher};
use super::policy::{CachePolicy, Freshness, LONGEST_AGE};
use super::publication::Publication;
use super::unpublished::Unpublished;
use crate::breaker::clock::ManualClock;
use crate::breaker::handle::Breaker;
use crate::gate::Gate;

const RUNS: u64 = 10_000;
const STEPS: usize = 80;
const DISHES: usize = 2;
const CONNECTIONS: usize = 3;
const POLICY: CachePolicy = CachePolicy::named("menu")
    .fresh_for(LONGEST_AGE)
    .stale_if_error(LONGEST_AGE)
    .jitter(0.0);

type Dish = usize;
/// The number of a write.
type Version = u64;

/// The knowledge that the library has of a connection.
#[derive(Default)]
struct Connection {
    unpublished: Unpublished,
    doubts: Doubts,
}

/// The state of it that the server and its caller know.
#[derive(Default)]
struct Session<'w> {
    /// The open transaction and its savepoints, from the outside in: the names that were unpublished
    /// before each, and what it wrote.
    open: Vec<(usize, Vec<(Dish, Version)>)>,
    sent: Option<Sent<'w>>,
    /// Its statement was given up.
    is_abandoned: bool,
}

/// A statement that was sent.
struct Sent<'w> {
    /// The invalidations; `None` if it is part of a transaction, or was given up.
    publication: Option<Publication<'w>>,
    /// The changes that take effect when the server executes it.
    writes: Vec<(Dish, Version)>,
    is_executed: bool,
    /// It ends the transaction.
    commits: bool,
}

/// A load in progress.
struct Load {
    dish: Dish,
    started: Generation,
    /// The answer, from the moment at which the server executes the query.
    read: Option<Version>,
    /// The oldest version that its callers may see.
    callers: Vec<Version>,
}

struct World<'w> {
    random: fastrand::Rng,
    gate: &'w Gate,
    answers: &'w Arc<Answers>,
    connections: &'w [Connection],
    sessions: Vec<Session<'w>>,
    loads: Vec<Load>,
    next: Version,
    /// The versions in the database.
    truth: [Version; DISHES],
    /// Of those, the ones that callers can know of: their writes have returned.
    known: [Version; DISHES],
    tally: Tally,
    log: Vec<String>,
}

/// How often the situations occurred that the model is about.
#[derive(Debug, Default)]
struct Tally {
    fresh: u32,
    joined: u32,
    landed_late: u32,
    never_landed: u32,
    kept_from_fresh: u32,
}

fn key(dish: Dish) -> Key {
    let mut key = KeyHasher::new();
    key.add(&dish);
    key.finish()
}

fn names(dish: Dish) -> Box<[Name]> {
    [
        Name::ALL,
        Name::key(key(dish)),
        Name::tag("dishes"),
        own_tag(dish),
    ]
    .into()
}

fn own_tag(dish: Dish) -> Name {
    Name::tag(["dish:0", "dish:1"][dish])
}

impl<'w> World<'w> {
    fn step(&mut self) {
        let connection = self.random.usize(..CONNECTIONS);
        match self.random.u32(..20) {
            0..=4 => self.read(),
            5..=6 => self.execute_query(),
            7..=8 => self.finish_load(),
            9 => self.invalidate(),
            10..=12 => self.begin_or_write(connection),
            13 => self.end_savepoint(connection),
            14 => self.commit(connection),
            15..=16 => self.execute(connection),
            17 => self.answer(connection),
            18 => self.give_up(connection),
            _ => self.is_done(connection),
        }
    }

    fn log(&mut self, what: String) {
        self.log.push(what);
    }

    /// A caller reads a dish.
    fn read(&mut self) {
        let dish = self.random.usize(..DISHES);
        let found = self.answers.find::<Version>(self.gate, &POLICY, &key(dish));
        let known = self.known[dish];
        match found {
            Some((entry, _, Freshness::Fresh)) => {
                let version: Version = entry.value().unwrap();
                self.tally.fresh += 1;
                self.log(format!("dish {dish} is served fresh as {version}"));
                assert!(
                    version >= known,
                    "{known} took effect\n{}",
                    self.log.join("\n")
                );
                return;
            }
            Some(_) => self.tally.kept_from_fresh += 1,
            None => {}
        }
        let started = self.answers.generations.of(&names(dish));
        // As in `single_flight.rs`.
        let joined = self.loads.iter_mut().find(|load| {
            load.dish == dish
                && started.is_valid_since(load.started)
                && !started.is_doubted_since(load.started)
        });
        if let Some(load) = joined {
            load.callers.push(known);
            self.tally.joined += 1;
        } else {
            self.loads.push(Load {
                dish,
                started,
                read: None,
                callers: vec![known],
            });
        }
        self.log(format!("dish {dish} is asked for, at least {known}"));
    }

    /// The server executes the query of a load.
    fn execute_query(&mut self) {
        let waiting = self.loads.iter_mut().filter(|load| load.read.is_none());
        let mut waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return;
        }
        let load = waiting.swap_remove(self.random.usize(..waiting.len()));
        load.read = Some(self.truth[load.dish]);
        let what = format!("dish {} is read as {:?}", load.dish, load.read);
        self.log(what);
    }

    fn finish_load(&mut self) {
        let Some(place) = self.loads.iter().position(|load| load.read.is_some()) else {
            return;
        };
        let load = self.loads.remove(place);
        let (dish, value) = (load.dish, load.read.unwrap());
        let loaded = Loaded { value, bytes: 0 };
        let entry = Arc::new(Entry::new(loaded, 0, names(dish), load.started));
        self.answers.keep(self.gate, &POLICY, key(dish), &entry);
        self.log(format!("dish {dish} is served live as {value}"));
        for known in load.callers {
            assert!(
                value >= known,
                "{known} took effect\n{}",
                self.log.join("\n")
            );
        }
    }

    fn invalidate(&mut self) {
        let dish = self.random.usize(..DISHES);
        let names = names(dish);
        let name = names[self.random.usize(..names.len())];
        self.answers.invalidate(self.gate, name);
        self.log(format!("dish {dish} is invalidated by {name:?}"));
    }

    /// Begins a transaction or a savepoint, or sends a write.
    fn begin_or_write(&mut self, at: usize) {
        let connection = &self.connections[at];
        let session = &mut self.sessions[at];
        if session.is_abandoned || session.sent.is_some() {
            return;
        }
        if session.open.len() < 3 && self.random.u32(..3) == 0 {
            session
                .open
                .push((connection.unpublished.enter(), Vec::new()));
            return self.log(format!("{at} begins"));
        }
        let dish = self.random.usize(..DISHES);
        self.next += 1;
        let write = (dish, self.next);
        let names = match self.random.bool() {
            true => vec![own_tag(dish)],
            false => vec![Name::tag("dishes"), Name::key(key(dish))],
        };
        let names = connection.unpublished.hold(names, false);
        let publication = publication(self.answers, self.gate, connection, names);
        let (is_alone, writes) = match session.open.last_mut() {
            None => (true, vec![write]),
            Some((_, writes)) => {
                writes.push(write);
                (false, Vec::new())
            }
        };
        session.sent = Some(Sent {
            publication,
            writes,
            is_executed: false,
            commits: false,
        });
        self.log(format!("{at} writes {write:?}, alone: {is_alone}"));
    }

    /// Ends the innermost savepoint or the transaction by a rollback, or releases a savepoint.
    fn end_savepoint(&mut self, at: usize) {
        let unpublished = &self.connections[at].unpublished;
        let session = &mut self.sessions[at];
        if session.is_abandoned || session.sent.is_some() {
            return;
        }
        let rolls_back = self.random.bool() || session.open.len() == 1;
        let Some((savepoint, writes)) = session.open.pop() else {
            return;
        };
        if rolls_back {
            unpublished.forget_since(savepoint);
        } else if let Some((_, outer)) = session.open.last_mut() {
            outer.extend(writes);
        }
        unpublished.leave();
        self.log(format!(
            "{at} ends a savepoint, by a rollback: {rolls_back}"
        ));
    }

    /// Sends the commit of a transaction.
    fn commit(&mut self, at: usize) {
        let connection = &self.connections[at];
        let session = &mut self.sessions[at];
        if session.is_abandoned || session.sent.is_some() || session.open.len() != 1 {
            return;
        }
        let writes = take(&mut session.open[0].1);
        let names = connection.unpublished.take();
        session.sent = Some(Sent {
            publication: publication(self.answers, self.gate, connection, names),
            writes,
            is_executed: false,
            commits: true,
        });
        self.log(format!("{at} commits"));
    }

    /// The server executes a statement.
    fn execute(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        let is_abandoned = session.is_abandoned;
        let Some(sent) = session.sent.as_mut().filter(|sent| !sent.is_executed) else {
            return;
        };
        sent.is_executed = true;
        // Locks order the writes of a dish. The numbers are those of their effects.
        for (dish, version) in &mut sent.writes {
            self.next += 1;
            *version = self.next;
            self.truth[*dish] = self.next;
        }
        let writes = sent.writes.clone();
        if is_abandoned {
            self.tally.landed_late += u32::from(!writes.is_empty());
            self.knows(&writes);
        }
        self.log(format!(
            "{at} takes effect: {writes:?}, given up: {is_abandoned}"
        ));
    }

    fn knows(&mut self, writes: &[(Dish, Version)]) {
        for &(dish, version) in writes {
            self.known[dish] = self.known[dish].max(version);
        }
    }

    /// The answer to a statement arrives: it succeeded if it was executed. Some fail nevertheless, as a
    /// procedure that commits and then fails.
    fn answer(&mut self, at: usize) {
        let unpublished = &self.connections[at].unpublished;
        let session = &mut self.sessions[at];
        if session.is_abandoned {
            return;
        }
        let Some(sent) = session.sent.take() else {
            return;
        };
        let succeeds = sent.is_executed && self.random.u32(..4) > 0;
        if let Some(publication) = sent.publication {
            match succeeds {
                true => publication.publish(),
                false => publication.failed(),
            }
        }
        if sent.commits {
            session.open.clear();
            unpublished.leave();
        }
        if sent.is_executed {
            self.knows(&sent.writes);
        }
        self.log(format!("{at} is answered: {succeeds}"));
    }

    /// A statement is given up, and its lease ends.
    fn give_up(&mut self, at: usize) {
        let connection = &self.connections[at];
        let session = &mut self.sessions[at];
        let Some(sent) = session.sent.as_mut().filter(|_| !session.is_abandoned) else {
            return;
        };
        session.is_abandoned = true;
        drop(sent.publication.take());
        // The server rolls back what was not committed.
        for (savepoint, _) in session.open.drain(..).rev() {
            connection.unpublished.forget_since(savepoint);
            connection.unpublished.leave();
        }
        let executed = match sent.is_executed {
            true => sent.writes.clone(),
            false => Vec::new(),
        };
        self.knows(&executed);
        self.log(format!("{at} is given up"));
    }

    /// The connection of an abandoned statement is known to be done with it: the server executed it, or
    /// stopped it.
    fn is_done(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        if !session.is_abandoned {
            return;
        }
        let Some(sent) = &session.sent else {
            return;
        };
        if !sent.is_executed {
            if self.random.bool() {
                return; // it still waits
            }
            self.tally.never_landed += u32::from(!sent.writes.is_empty());
        }
        *session = Session::default();
        let doubts = self.connections[at].doubts.take();
        doubts.into_iter().for_each(Doubt::end);
        self.log(format!("{at} is done"));
    }
}

fn publication<'w>(
    answers: &'w Arc<Answers>,
    gate: &'w Gate,
    connection: &'w Connection,
    names: Vec<Name>,
) -> Option<Publication<'w>> {
    let publication = |names| Publication::new(answers, gate, &connection.doubts, names);
    (!names.is_empty()).then(|| publication(names))
}

fn run(seed: u64, gate: &Gate) -> (Tally, Vec<String>) {
    let answers = Arc::new(Answers::new(1 << 16));
    let connections: [Connection; CONNECTIONS] = Default::default();
    let mut world = World {
        random: fastrand::Rng::with_seed(seed),
        gate,
        answers: &answers,
        connections: &connections,
        sessions: connections.iter().map(|_| Session::default()).collect(),
        loads: Vec::new(),
        next: 0,
        truth: [0; DISHES],
        known: [0; DISHES],
        tally: Tally::default(),
        log: vec![format!("SEED={seed}")],
    };
    for _ in 0..STEPS {
        world.step();
    }
    (world.tally, world.log)
}

#[test]
fn no_read_is_older_than_the_last_write_that_took_effect() {
    let breaker = Breaker::builder().clock(ManualClock::new());
    let gate = Gate::builder(breaker).build().unwrap();
    if let Ok(seed) = std::env::var("SEED") {
        let (tally, log) = run(seed.parse().unwrap(), &gate);
        return println!("{}\n{tally:?}", log.join("\n"));
    }
    let first = fastrand::u64(..u64::MAX - RUNS);
    println!("SEED={first} and the next {RUNS}");
    let mut all = Tally::default();
    for seed in first..first + RUNS {
        let (tally, _) = run(seed, &gate);
        all.fresh += tally.fresh;
        all.joined += tally.joined;
        all.landed_late += tally.landed_late;
        all.never_landed += tally.never_landed;
        all.kept_from_fresh += tally.kept_from_fresh;
    }
    println!("{all:?}");
    let Tally {
        fresh,
        joined,
        landed_late,
        never_landed,
        kept_from_fresh,
    } = all;
    for count in [fresh, joined, landed_late, never_landed, kept_from_fresh] {
        assert!(count > 300, "{all:?}");
    }
}
