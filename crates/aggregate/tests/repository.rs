//! Load, decide, append against a real store: conflicts, lost answers, clocks that go backwards, logs that change.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use aggregate::{Aggregate, ExecuteError, Executed, Repository, RepositoryError};
use database::Database;
use event_store::EventStore;
use events::{
    Account, AccountErased, AccountEvent, AccountRegistered, AccountRenamed, Actor, AdminAdded, Admins,
    AdminsEvent, EventId, Metadata, StoredEvent, StreamName, Timestamp, UserId,
};
use futures::future::join_all;
use tempfile::TempDir;
use test_support::{FaultyStore, TestClock};
use tokio::runtime::Handle;
use uuid::Uuid;

const NOON: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A log in a file, and the clock of its writers.
struct Log {
    _directory: TempDir,
    store: Arc<FaultyStore>,
    clock: Arc<TestClock>,
}

impl Log {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("events.db"));
        Self {
            store: FaultyStore::over(event_store::open(&url, 4).await.unwrap()),
            clock: Arc::new(TestClock::standing_at(NOON)),
            _directory: directory,
        }
    }

    /// A repository as another process would have it.
    fn repository<A: Aggregate>(&self) -> Repository<A> {
        let store: Arc<dyn EventStore> = self.store.clone();
        Repository::new(store, self.clock.clone(), 1 << 20, |_| 100)
    }
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn metadata() -> Metadata {
    Metadata {
        subject: user(1),
        actor: Actor::System,
        correlation_id: "test".into(),
        causation_id: Uuid::from_u128(1),
        traceparent: None,
        idempotency_key: None,
    }
}

fn registered() -> AccountEvent {
    AccountRegistered {
        email: "ada@example.com".to_owned(),
        display_name: None,
        password_hash: "hash".into(),
    }
    .into()
}

fn renamed(name: &str) -> AccountEvent {
    AccountRenamed { display_name: Some(name.to_owned()) }.into()
}

async fn happen(accounts: &Repository<Account>, event: AccountEvent) -> Executed<Account> {
    accounts.execute(&user(1), &metadata(), |_, _| Ok::<_, Infallible>(vec![event.clone()])).await.unwrap()
}

async fn add_admin(admins: &Repository<Admins>, number: u128) -> Executed<Admins> {
    let account = user(number);
    admins
        .execute(&(), &metadata(), |admins, _| {
            let is_one = admins.is_some_and(|admins| admins.accounts.contains(&account));
            Ok::<_, Infallible>((!is_one).then(|| AdminAdded { account }.into()).into_iter().collect())
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_several_append_at_once_is_decided_again_until_all_of_it_is_there() {
    let log = Log::new().await;
    let processes: [Repository<Admins>; 4] = std::array::from_fn(|_| log.repository());
    let commands = (0..8).map(|number| add_admin(&processes[number % 4], number as u128));
    let done = join_all(commands).await;
    assert!(done.iter().all(|done| done.changed));
    for admins in &processes {
        let loaded = admins.load(&()).await.unwrap();
        assert_eq!(loaded.version(), 8);
        assert_eq!(loaded.state.unwrap().accounts, (0..8).map(user).collect());
    }
    let again = add_admin(&processes[0], 3).await;
    assert!(!again.changed);
    assert_eq!(again.position, 8);
}

#[tokio::test]
async fn a_tolerant_repository_goes_on_after_a_record_that_cannot_be_read() {
    let log = Log::new().await;
    let strict = log.repository::<Admins>();
    let tolerant =
        || log.repository().tolerant(|admins: Option<Admins>| admins.unwrap_or_default().after_unreadable());
    add_admin(&strict, 1).await;
    let known = tolerant();
    known.load(&()).await.unwrap();
    let mut painted = AdminsEvent::from(AdminAdded { account: user(2) }).encode().into_event(
        EventId(Uuid::from_u128(1)),
        metadata(),
        NOON,
    );
    painted.kind = "admins.painted".to_owned();
    let stream = StreamName::admins();
    log.store.append(&stream, 1, vec![painted]).await.unwrap();

    assert!(matches!(strict.load(&()).await, Err(RepositoryError::Unreadable(_))));
    for admins in [&known, &tolerant()] {
        let loaded = admins.load(&()).await.unwrap();
        assert_eq!(loaded.version(), 2);
        assert_eq!(loaded.state, Some(Admins::default().after_unreadable()));
        log.store.take_cost();
        admins.load(&()).await.unwrap();
        assert_eq!(log.store.take_cost().events, 0, "it stays in memory");
    }
    assert!(add_admin(&known, 3).await.changed);
    let loaded = tolerant().load(&()).await.unwrap();
    assert_eq!(loaded.state.unwrap().accounts, [user(3)].into());
}

/// More conflicts than chance explains: a faster process wins each time.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slower_than_another_many_times_gets_through_in_the_end() {
    const OVERTAKEN: u64 = 40;
    let log = Log::new().await;
    let (slow, fast) = (log.repository::<Account>(), log.repository::<Account>());
    happen(&fast, registered()).await;
    let mut attempts = 0;
    let done = slow
        .execute(&user(1), &metadata(), |account, _| {
            attempts += 1;
            assert_eq!(account.unwrap().version, attempts, "it decides on what is there now");
            if attempts <= OVERTAKEN {
                let overtake = happen(&fast, renamed("Countess"));
                tokio::task::block_in_place(|| Handle::current().block_on(overtake));
            }
            Ok::<_, Infallible>(vec![renamed("Ada")])
        })
        .await
        .unwrap();
    assert_eq!(done.state.unwrap().version, OVERTAKEN + 2);
}

#[tokio::test]
async fn an_append_whose_answer_got_lost_is_found() {
    let log = Log::new().await;
    let accounts = log.repository();
    log.store.lose_answers.store(true, Ordering::SeqCst);
    let done = happen(&accounts, registered()).await;
    assert!(done.changed);
    assert_eq!((done.position, done.state.unwrap().version), (1, 1));
    let done = happen(&accounts, renamed("Countess")).await;
    assert_eq!((done.position, done.state.unwrap().version), (2, 2));
}

#[tokio::test]
async fn an_append_that_did_not_happen_is_not_found() {
    let log = Log::new().await;
    let accounts = log.repository::<Account>();
    log.store.appends_left.store(0, Ordering::SeqCst);
    let done = accounts.execute(&user(1), &metadata(), |_, _| Ok::<_, Infallible>(vec![registered()])).await;
    assert!(matches!(done, Err(ExecuteError::Failed(RepositoryError::Store(_)))), "{done:?}");
    assert!(accounts.load(&user(1)).await.unwrap().state.is_none());
}

#[tokio::test]
async fn the_time_of_an_aggregate_never_goes_back_but_decisions_know_the_present() {
    let log = Log::new().await;
    let accounts = log.repository::<Account>();
    happen(&accounts, registered()).await;
    log.clock.advance(-3_600);
    // In the process that remembers the account, and in one that reads it.
    for (version, accounts) in [(2, accounts), (3, log.repository())] {
        let mut told = None;
        let done = accounts
            .execute(&user(1), &metadata(), |_, now| {
                told = Some(now);
                Ok::<_, Infallible>(vec![renamed("Countess")])
            })
            .await
            .unwrap();
        let account = done.state.unwrap();
        assert_eq!((account.version, account.updated_at), (version, NOON));
        assert_eq!(told, Some(NOON.plus_seconds(-3_600)));
    }
    let stream = Account::stream(&user(1));
    let recorded = log.store.read_stream(&stream, 0, 10).await.unwrap();
    assert!(recorded.iter().all(|event| event.recorded_at == NOON));
}

#[tokio::test]
async fn a_long_stream_is_read_once_and_then_only_what_is_new() {
    let log = Log::new().await;
    let (accounts, others) = (log.repository::<Account>(), log.repository::<Account>());
    happen(&others, registered()).await;
    for number in 0..700 {
        happen(&others, renamed(&number.to_string())).await;
    }
    let read = async || {
        log.store.events_read.store(0, Ordering::SeqCst);
        let loaded = accounts.load(&user(1)).await.unwrap();
        (loaded.state.unwrap().display_name, log.store.events_read.load(Ordering::SeqCst))
    };
    let (name, cold) = read().await;
    assert_eq!(name.as_deref(), Some("699"));
    assert!((701..1_000).contains(&cold), "{cold}");
    assert_eq!(read().await.1, 0);
    happen(&others, renamed("new")).await;
    assert_eq!(read().await, (Some("new".to_owned()), 2));
}

#[tokio::test]
async fn many_who_ask_for_what_is_not_in_memory_share_one_read() {
    let log = Log::new().await;
    let (accounts, others) = (log.repository::<Account>(), log.repository::<Account>());
    happen(&others, registered()).await;
    for number in 1..10 {
        happen(&others, renamed(&number.to_string())).await;
    }
    log.store.take_cost();
    let id = user(1);
    for loaded in join_all((0..20).map(|_| accounts.load(&id))).await {
        assert_eq!(loaded.unwrap().version(), 10);
    }
    assert_eq!(log.store.take_cost().events, 10);
}

#[tokio::test]
async fn after_what_was_dropped_there_is_no_state_but_that_of_an_erasure() {
    let log = Log::new().await;
    let accounts = log.repository::<Account>();
    happen(&accounts, registered()).await;
    happen(&accounts, renamed("Ada")).await;
    let stored = log.store.stored_page(0, 10).await.unwrap().events;
    let digests: Vec<_> = stored.iter().map(StoredEvent::digest).collect();
    log.store.drop_payloads(&digests[1..]).await.unwrap();
    // A repository without the state in memory finds none, at the version of the stream.
    let loaded = log.repository::<Account>().load(&user(1)).await.unwrap();
    assert_eq!((loaded.state.is_none(), loaded.version()), (true, 2));
    log.store.drop_payloads(&digests).await.unwrap();
    happen(&log.repository(), AccountErased {}.into()).await;
    let loaded = log.repository::<Account>().load(&user(1)).await.unwrap();
    let account = loaded.state.unwrap();
    assert!(account.erased && account.roles.is_empty() && account.email.is_empty());
    assert_eq!(account.version, 3);
}
