//! Which fault is injected when. The seed decides it before anything runs.

use std::{fmt, time::Duration};

use rand::{
    RngExt as _, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, IteratorRandom as _, SliceRandom as _},
};

use crate::{
    other_streams::OtherStream,
    poison::Unreadable,
    support::{Replica, Role},
    unusable_key::KeyFault,
};

/// The times of faults in milliseconds after the start of the load.
const WINDOW_MS: std::ops::Range<u64> = 200..6_000;
/// This many consecutive seeds, from a multiple on, share the faults of one deck among them, so that together they have
/// every fault.
const GROUP: u64 = 4;
/// Every sixth seed has one of the faults that last a minute.
const LONG_INTERVAL: u64 = 6;
/// Longer than the longest time-out for a peer that does not answer.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The kinds of faults.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The process is killed, and started again.
    Kill { replica: Replica, lasting: Duration },
    /// The process gets `SIGSTOP`, and later `SIGCONT`.
    Freeze { replica: Replica, lasting: Duration },
    /// All connections to PostgreSQL are closed.
    CutPostgres,
    /// The server side of all connections to PostgreSQL disappears while statements run, and clients are not told.
    PostgresVanishes,
    /// All connections to PostgreSQL freeze for a minute, also within transactions.
    PostgresStandsStill,
    /// All connections to RabbitMQ freeze for a minute. Both sides stay open.
    BrokerStandsStill,
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
    /// The projectors freeze until messages wait in their queues, and the queues are purged.
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
    /// A stream besides those of tasks gets a record of an unknown type.
    PoisonStream(OtherStream),
    /// The key of a person becomes unusable.
    Key(KeyFault),
    /// A client with an account sends the largest batches as fast as they are answered.
    Greed { lasting: Duration },
    /// The disk of an embedded system is full.
    DiskFills { lasting: Duration },
    /// Another program holds the write lock of a database file of an embedded system.
    LockedFile { file: &'static str, lasting: Duration },
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
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Freeze { lasting, .. } if lasting.as_secs() < LONG.as_secs() => "freeze",
            Self::Freeze { .. } => "long freeze",
            Self::CutPostgres => "cut postgres",
            Self::PostgresVanishes => "postgres vanishes",
            Self::PostgresStandsStill => "postgres stands still",
            Self::EndSessions => "end sessions",
            Self::CutAmqp => "cut amqp",
            Self::BrokerVanishes => "broker vanishes",
            Self::BrokerStandsStill => "broker stands still",
            Self::DeleteExchanges => "delete exchanges",
            Self::UnbindQueues => "unbind queues",
            Self::PurgeQueues => "purge queues",
            Self::DeleteQueues => "delete queues",
            Self::RestartBroker => "restart broker",
            Self::FullDisk { .. } => "full disk",
            Self::SlowDatabase { .. } => "slow database",
            Self::LockedTable { .. } => "locked table",
            Self::Redeliver { .. } => "redeliver",
            Self::Greed { .. } => "greed",
            Self::Poison { kind, .. } => match kind {
                Unreadable::Payload => "poison: payload",
                Unreadable::Type => "poison: type",
                Unreadable::SchemaVersion => "poison: schema version",
                Unreadable::Encoding => "poison: encoding",
                Unreadable::Metadata | Unreadable::EmptyMetadata => "poison: metadata",
                Unreadable::Row(_) => "poison: row",
            },
            Self::PoisonStream(stream) => stream.name(),
            Self::Key(KeyFault::Damaged) => "key damaged",
            Self::Key(KeyFault::Lost) => "key lost",
            Self::DiskFills { .. } => "disk fills",
            Self::LockedFile { .. } => "locked file",
            Self::LeaderEnds { .. } => "leader ends",
            Self::LeaderStandsStill { .. } => "leader stands still",
            Self::AnswersAreLost { .. } => "answers are lost",
            Self::SubscriptionsEnd => "subscriptions end",
            Self::KurrentDbEnds { .. } => "kurrentdb ends",
        }
    }

    /// What of several the fault strikes: a role, a table, a file or a kind of data.
    pub(crate) fn target(&self) -> Option<String> {
        match self {
            Self::Kill { replica, .. } | Self::Freeze { replica, .. } => Some(format!("{:?}", replica.role)),
            Self::FullDisk { table: name, .. }
            | Self::LockedTable { table: name, .. }
            | Self::LockedFile { file: name, .. } => Some((*name).to_owned()),
            Self::Poison { kind, .. } => Some(format!("{kind:?}")),
            _ => None,
        }
    }
}

/// The table of the log in PostgreSQL.
pub(crate) const EVENTS: &str = "event_store.events";

/// Tables that can fail to write and that can be locked.
pub(crate) const TABLES: [&str; 17] = [
    EVENTS,
    "subject_keys.data_keys",
    "read_models.tasks",
    "read_models.accounts",
    "read_models.sessions",
    "read_models.task_history",
    "read_models.audit_log",
    "read_models.checkpoints",
    "read_models.partition_leases",
    "operations.idempotency_keys",
    "operations.task_snapshots",
    "operations.account_snapshots",
    "operations.relay_progress",
    "operations.authentication_failures",
    "audit_tree.trees",
    "audit_tree.tree_tiles",
    "audit_tree.tree_checkpoints",
];

/// The database files of an embedded system.
const FILES: [&str; 5] = ["events.db", "subject-keys.db", "read-models.db", "operations.db", "audit-tree.db"];

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
    /// This seed's share of the deck of its group, and in some seeds a fault that lasts a minute.
    pub(crate) fn of(seed: u64, replicas: &[Replica]) -> Self {
        let shared = &mut StdRng::seed_from_u64(seed / GROUP);
        let share = usize::try_from(seed % GROUP).unwrap();
        let dealt = deck(shared, replicas).into_iter().skip(share);
        let mut faults: Vec<_> = dealt.step_by(usize::try_from(GROUP).unwrap()).collect();
        if seed % LONG_INTERVAL == LONG_INTERVAL - 1 {
            faults.push(match seed / LONG_INTERVAL % 3 {
                0 => Fault::PostgresStandsStill,
                1 => Fault::BrokerStandsStill,
                _ => Fault::Freeze { replica: *replicas.choose(shared).unwrap(), lasting: LONG },
            });
        }
        Self::at_random(seed, faults)
    }

    /// Faults of a system in one process with SQLite files.
    pub(crate) fn of_embedded(seed: u64) -> Self {
        let dice = &mut StdRng::seed_from_u64(!seed);
        let replica = Replica::from(Role::Up);
        let mut faults: Vec<_> = FILES
            .into_iter()
            .map(|file| Fault::LockedFile { file, lasting: millis(dice, 100..1_500) })
            .collect();
        for _ in 0..3 {
            faults.push(Fault::Kill { replica, lasting: millis(dice, 0..500) });
        }
        for _ in 0..2 {
            faults.push(Fault::Freeze { replica, lasting: millis(dice, 200..1_000) });
            faults.push(Fault::DiskFills { lasting: millis(dice, 100..1_500) });
        }
        faults.push(Fault::Greed { lasting: millis(dice, 500..2_000) });
        Self::at_random(seed, faults)
    }

    fn at_random(seed: u64, faults: Vec<Fault>) -> Self {
        let dice = &mut StdRng::seed_from_u64(seed);
        let at_random = faults.into_iter().map(|fault| ScheduledFault { at: millis(dice, WINDOW_MS), fault });
        let mut faults: Vec<_> = at_random.collect();
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
            Fault::Poison { .. } | Fault::PoisonStream(_) => false,
            _ => true,
        });
        let mut faults = [
            Fault::LeaderEnds { lasting: millis(dice, 500..2_000) },
            Fault::LeaderStandsStill { lasting: millis(dice, 2_000..6_000) },
            Fault::AnswersAreLost { count: dice.random_range(1..20) },
            Fault::SubscriptionsEnd,
            Fault::KurrentDbEnds { lasting: millis(dice, 200..1_500) },
        ];
        faults.shuffle(dice);
        self.faults.extend(faults.map(|fault| ScheduledFault { at: millis(dice, WINDOW_MS), fault }));
        self.faults.sort_by_key(|scheduled| scheduled.at);
        self
    }
}

/// Every fault that lasts for moments: each kind, each role killed and frozen, each table full and locked. Each kind is
/// in random order, so that a share of the deck has some of every kind.
fn deck(dice: &mut StdRng, replicas: &[Replica]) -> Vec<Fault> {
    let mut roles: Vec<Role> = replicas.iter().map(|replica| replica.role).collect();
    roles.dedup();
    let one_of = |role: Role, dice: &mut StdRng| {
        let same_role = replicas.iter().copied().filter(|replica| replica.role == role);
        same_role.choose(dice).unwrap()
    };
    let mut deck = Vec::new();
    let mut add = |dice: &mut StdRng, mut faults: Vec<Fault>| {
        faults.shuffle(dice);
        deck.append(&mut faults);
    };
    let kills = roles
        .iter()
        .map(|role| Fault::Kill { replica: one_of(*role, dice), lasting: millis(dice, 0..1_500) });
    let kills = kills.collect();
    add(dice, kills);
    let freezes = roles
        .iter()
        .map(|role| Fault::Freeze { replica: one_of(*role, dice), lasting: millis(dice, 200..3_000) });
    let freezes = freezes.collect();
    add(dice, freezes);
    let servers = vec![
        Fault::CutPostgres,
        Fault::PostgresVanishes,
        Fault::EndSessions,
        Fault::SlowDatabase { delay: millis(dice, 5..100), lasting: millis(dice, 200..1_500) },
        Fault::CutAmqp,
        Fault::BrokerVanishes,
        Fault::DeleteExchanges,
        Fault::UnbindQueues,
        Fault::PurgeQueues,
        Fault::DeleteQueues,
        Fault::RestartBroker,
        Fault::Redeliver { dice: dice.random() },
        Fault::Greed { lasting: millis(dice, 500..4_000) },
        Fault::Key(KeyFault::Damaged),
        Fault::Key(KeyFault::Lost),
    ];
    add(dice, servers);
    let full = TABLES.map(|table| Fault::FullDisk { table, lasting: millis(dice, 100..1_500) });
    add(dice, full.into());
    let locked = TABLES.map(|table| Fault::LockedTable { table, lasting: millis(dice, 100..1_500) });
    add(dice, locked.into());
    let poison = Unreadable::ALL
        .map(|kind| Fault::Poison { person: dice.random_range(0..crate::worker::PEOPLE), kind });
    add(dice, poison.into());
    add(dice, OtherStream::ALL.map(Fault::PoisonStream).into());
    deck
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
