//! Which fault is injected when. The seed decides it before anything runs.

use std::{fmt, time::Duration};

use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};

use crate::{poison::Unreadable, support::Replica, unusable_key::KeyFault};

/// The times of faults in milliseconds after the start of the load.
const WINDOW_MS: std::ops::Range<u64> = 200..4_000;
/// Every eighth seed restarts the broker, which takes longer than most faults.
const RESTART_EVERY: u64 = 8;
/// In every third run the key of a person becomes unusable.
const KEY_EVERY: u64 = 3;
/// In every sixteenth run a process freezes for a minute, which makes the run longer.
const LONG_FREEZE_EVERY: u64 = 16;
/// Longer than the longest time-out for a peer that does not answer.
const LONG_FREEZE: Duration = Duration::from_secs(60);

/// The kinds of faults.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The process is killed, and started again.
    Kill { replica: Replica, lasting: Duration },
    /// The process gets `SIGSTOP`, and later `SIGCONT`.
    Freeze { replica: Replica, lasting: Duration },
    /// All connections to PostgreSQL are closed.
    CutPostgres,
    /// The server side of all connections to PostgreSQL disappears, and clients are not told.
    PostgresVanishes,
    /// All connections to PostgreSQL freeze for a minute, also within transactions.
    PostgresStandsStill,
    /// The server ends all sessions of the database.
    EndSessions,
    /// All connections to RabbitMQ are closed.
    CutAmqp,
    /// The server side of all connections to RabbitMQ disappears, and clients are not told.
    BrokerVanishes,
    /// The exchanges are deleted while clients are connected.
    DeleteExchanges,
    /// The projector's queues are unbound from the exchange.
    UnbindQueues,
    /// The projector's queues are purged.
    PurgeQueues,
    /// The projector's queues are deleted while they have consumers.
    DeleteQueues,
    /// The broker is stopped and started.
    RestartBroker,
    /// Writes to a table fail as on a full disk.
    FullDisk { table: &'static str, lasting: Duration },
    /// Data to and from PostgreSQL is delayed.
    SlowDatabase { delay: Duration, lasting: Duration },
    /// A table is locked exclusively.
    LockedTable { table: &'static str, lasting: Duration },
    /// Old messages are delivered again in random order.
    Redeliver { dice: u64 },
    /// A record or a row of this person becomes unreadable.
    Poison { person: usize, kind: Unreadable },
    /// The key of a person becomes unusable.
    Key(KeyFault),
    /// A client with an account sends the largest batches as fast as they are answered.
    Greed { lasting: Duration },
    /// The leader of KurrentDB ends, and the other nodes elect another one.
    LeaderEnds { lasting: Duration },
    /// The leader of KurrentDB freezes, and the other nodes elect another one after a moment.
    LeaderStandsStill { lasting: Duration },
    /// KurrentDB carries out `count` appends, and the connection closes before they are answered.
    AnswersAreLost { count: usize },
    /// KurrentDB ends all subscriptions.
    SubscriptionsEnd,
    /// All nodes of KurrentDB end.
    KurrentDbEnds { lasting: Duration },
}

impl Fault {
    pub(crate) const NAMES: [&str; 32] = [
        "kill",
        "freeze",
        "cut postgres",
        "end sessions",
        "cut amqp",
        "purge queues",
        "delete queues",
        "restart broker",
        "full disk",
        "slow database",
        "locked table",
        "redeliver",
        "poison: payload",
        "postgres vanishes",
        "postgres stands still",
        "broker vanishes",
        "delete exchanges",
        "unbind queues",
        "greed",
        "long freeze",
        "poison: type",
        "poison: schema version",
        "poison: encoding",
        "poison: metadata",
        "poison: row",
        "leader ends",
        "leader stands still",
        "answers are lost",
        "subscriptions end",
        "kurrentdb ends",
        "key damaged",
        "key lost",
    ];

    pub(crate) const fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::Kill { .. } => 0,
            Self::Freeze { lasting, .. } if lasting.as_secs() < LONG_FREEZE.as_secs() => 1,
            Self::Freeze { .. } => 19,
            Self::CutPostgres => 2,
            Self::EndSessions => 3,
            Self::CutAmqp => 4,
            Self::PurgeQueues => 5,
            Self::DeleteQueues => 6,
            Self::RestartBroker => 7,
            Self::FullDisk { .. } => 8,
            Self::SlowDatabase { .. } => 9,
            Self::LockedTable { .. } => 10,
            Self::Redeliver { .. } => 11,
            Self::Poison { kind, .. } => match kind {
                Unreadable::Payload => 12,
                Unreadable::Type => 20,
                Unreadable::SchemaVersion => 21,
                Unreadable::Encoding => 22,
                Unreadable::Metadata | Unreadable::EmptyMetadata => 23,
                Unreadable::Row(_) => 24,
            },
            Self::PostgresVanishes => 13,
            Self::PostgresStandsStill => 14,
            Self::BrokerVanishes => 15,
            Self::DeleteExchanges => 16,
            Self::UnbindQueues => 17,
            Self::Greed { .. } => 18,
            Self::LeaderEnds { .. } => 25,
            Self::LeaderStandsStill { .. } => 26,
            Self::AnswersAreLost { .. } => 27,
            Self::SubscriptionsEnd => 28,
            Self::KurrentDbEnds { .. } => 29,
            Self::Key(KeyFault::Damaged) => 30,
            Self::Key(KeyFault::Lost) => 31,
        }]
    }
}

/// The table of the log in PostgreSQL.
pub(crate) const EVENTS: &str = "event_store.events";

/// Tables that can fail to write and that can be locked.
pub(crate) const TABLES: [&str; 8] = [
    EVENTS,
    "subject_keys.data_keys",
    "read_models.tasks",
    "read_models.audit_log",
    "read_models.checkpoints",
    "operations.idempotency_keys",
    "operations.task_snapshots",
    "operations.relay_progress",
];

/// A fault and its time.
#[derive(Debug, Clone)]
pub(crate) struct ScheduledFault {
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
}

/// All faults of a run.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) faults: Vec<ScheduledFault>,
}

impl Schedule {
    /// One or two kills and as many freezes, each of another process, and some of all other faults.
    pub(crate) fn of(seed: u64, replicas: &[Replica]) -> Self {
        let dice = &mut StdRng::seed_from_u64(seed);
        let mut victims = replicas.to_vec();
        victims.shuffle(dice);
        let mut faults = Vec::new();
        for _ in 0..dice.random_range(1..=2) {
            faults.push(Fault::Kill {
                replica: victims.pop().unwrap(),
                lasting: millis(dice, 0..1_500),
            });
        }
        for _ in 0..dice.random_range(1..=2) {
            faults.push(Fault::Freeze {
                replica: victims.pop().unwrap(),
                lasting: millis(dice, 200..3_000),
            });
        }
        let others = [
            Fault::CutPostgres,
            Fault::EndSessions,
            Fault::CutAmqp,
            Fault::PurgeQueues,
            Fault::DeleteQueues,
            Fault::FullDisk {
                table: TABLES.choose(dice).unwrap(),
                lasting: millis(dice, 100..1_500),
            },
            Fault::SlowDatabase {
                delay: millis(dice, 5..100),
                lasting: millis(dice, 200..1_500),
            },
            Fault::LockedTable {
                table: TABLES.choose(dice).unwrap(),
                lasting: millis(dice, 100..1_500),
            },
            Fault::Redeliver { dice: dice.random() },
            Fault::PostgresVanishes,
            Fault::PostgresStandsStill,
            Fault::BrokerVanishes,
            Fault::DeleteExchanges,
            Fault::UnbindQueues,
            Fault::Greed {
                lasting: millis(dice, 500..4_000),
            },
        ];
        faults.extend(others.into_iter().filter(|_| dice.random_bool(0.4)));
        for kind in Unreadable::ALL {
            if dice.random_bool(0.2) {
                let person = dice.random_range(0..crate::worker::PEOPLE);
                faults.push(Fault::Poison { person, kind });
            }
        }
        if seed % KEY_EVERY == 1 {
            let is_even = seed.is_multiple_of(2);
            faults.push(Fault::Key(if is_even {
                KeyFault::Damaged
            } else {
                KeyFault::Lost
            }));
        }
        if seed.is_multiple_of(RESTART_EVERY) {
            faults.push(Fault::RestartBroker);
        }
        if seed % LONG_FREEZE_EVERY == LONG_FREEZE_EVERY / 4
            && let Some(replica) = victims.pop()
        {
            faults.push(Fault::Freeze {
                replica,
                lasting: LONG_FREEZE,
            });
        }
        let mut faults: Vec<_> = faults
            .into_iter()
            .map(|fault| ScheduledFault {
                at: millis(dice, WINDOW_MS),
                fault,
            })
            .collect();
        faults.sort_by_key(|scheduled| scheduled.at);
        Self { faults }
    }

    /// The same schedule for a log in KurrentDB. Faults of the log in PostgreSQL are left out, and some of KurrentDB
    /// are added. They follow each other, since each affects the leader.
    pub(crate) fn with_kurrentdb(mut self, seed: u64) -> Self {
        let dice = &mut StdRng::seed_from_u64(!seed);
        self.faults.retain(|scheduled| match &scheduled.fault {
            Fault::FullDisk { table, .. } | Fault::LockedTable { table, .. } => *table != EVENTS,
            // These records are written to the log with SQL.
            Fault::Poison { .. } => false,
            _ => true,
        });
        let mut faults = [
            Fault::LeaderEnds {
                lasting: millis(dice, 500..2_000),
            },
            Fault::LeaderStandsStill {
                lasting: millis(dice, 2_000..6_000),
            },
            Fault::AnswersAreLost {
                count: dice.random_range(1..20),
            },
            Fault::SubscriptionsEnd,
            Fault::KurrentDbEnds {
                lasting: millis(dice, 200..1_500),
            },
        ];
        faults.shuffle(dice);
        let count = dice.random_range(1..=faults.len());
        let chosen = faults.into_iter().take(count);
        self.faults.extend(chosen.map(|fault| ScheduledFault {
            at: millis(dice, WINDOW_MS),
            fault,
        }));
        self.faults.sort_by_key(|scheduled| scheduled.at);
        self
    }
}

fn millis(dice: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(dice.random_range(range))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ScheduledFault { at, fault } in &self.faults {
            writeln!(f, "{:>5} ms  {fault:?}", at.as_millis())?;
        }
        Ok(())
    }
}
