//! The seeds of a run without `CHAOS_SEEDS` have every fault, but a written list of exceptions.

use std::collections::BTreeSet;

use crate::{
    SHORT_RUN, SHORT_RUN_ON_KURRENTDB,
    other_streams::OtherStream,
    poison::Unreadable,
    schedule::{EVENTS, Fault, Schedule, ScheduledFault, TABLES},
    support::{Replica, Role},
};

/// Faults that no short run has, since each makes its run a minute longer.
const EXCEPTIONS: [&str; 3] = ["broker stands still", "long freeze", "postgres stands still"];
/// Faults of KurrentDB.
const OF_KURRENTDB: [&str; 5] =
    ["answers are lost", "kurrentdb ends", "leader ends", "leader stands still", "subscriptions end"];

fn replicas() -> Vec<Replica> {
    let roles = [Role::Gateway, Role::CommandApi, Role::QueryApi, Role::Auth, Role::Projector];
    let both = |role| [0, 1].map(|number| Replica { role, number });
    roles.into_iter().flat_map(both).collect()
}

/// What the faults of these seeds strike.
fn struck(schedules: impl IntoIterator<Item = Schedule>) -> BTreeSet<String> {
    let faults = schedules.into_iter().flat_map(|schedule| schedule.faults);
    let described = faults.map(|ScheduledFault { fault, .. }| match fault.target() {
        Some(target) => format!("{} {target}", fault.name()),
        None => fault.name().to_owned(),
    });
    described.collect()
}

#[test]
fn the_short_run_has_every_fault_but_the_exceptions() {
    let mut schedules: Vec<_> = SHORT_RUN.iter().map(|seed| Schedule::of(*seed, &replicas())).collect();
    let on_kurrentdb =
        SHORT_RUN_ON_KURRENTDB.iter().map(|seed| Schedule::of(*seed, &replicas()).with_kurrentdb(*seed));
    schedules.extend(on_kurrentdb);
    let struck = struck(schedules);
    let mut wanted: BTreeSet<String> = OF_KURRENTDB.map(str::to_owned).into();
    for role in replicas().iter().map(|replica| replica.role) {
        wanted.extend(["kill", "freeze"].map(|name| format!("{name} {role:?}")));
    }
    for table in TABLES {
        wanted.extend(["full disk", "locked table"].map(|name| format!("{name} {table}")));
    }
    for kind in Unreadable::ALL {
        wanted.insert(format!("{} {kind:?}", Fault::Poison { person: 0, kind }.name()));
    }
    wanted.extend(OtherStream::ALL.map(|stream| stream.name().to_owned()));
    let simple = [
        "cut amqp",
        "cut postgres",
        "broker vanishes",
        "delete exchanges",
        "delete queues",
        "end sessions",
        "greed",
        "key damaged",
        "key lost",
        "postgres vanishes",
        "purge queues",
        "redeliver",
        "restart broker",
        "slow database",
        "unbind queues",
    ];
    wanted.extend(simple.map(str::to_owned));
    assert_eq!(struck, wanted);
}

#[test]
fn the_exceptions_are_in_longer_runs() {
    let names: BTreeSet<&str> = (1..=20)
        .flat_map(|seed| Schedule::of(seed, &replicas()).faults)
        .map(|scheduled| scheduled.fault.name())
        .collect();
    assert!(EXCEPTIONS.iter().all(|name| names.contains(name)), "{names:?}");
}

#[test]
fn the_log_in_kurrentdb_is_not_written_to_with_sql() {
    let schedules = (1..=20).map(|seed| Schedule::of(seed, &replicas()).with_kurrentdb(seed));
    let struck = struck(schedules);
    let by_sql = struck.iter().filter(|what| what.contains(EVENTS) || what.starts_with("poison"));
    assert_eq!(by_sql.count(), 0, "{struck:?}");
}
