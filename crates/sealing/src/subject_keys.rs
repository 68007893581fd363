//! The data keys of people, one for each, in their table: created at the first event about a person, and never again
//! after they were destroyed.

mod comparison;
mod copying;
mod followed_erasures;
mod key_metrics;
mod master_key_registry;
mod rewrapping;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use database::{Database, Dialect, Row, Value, list_parameter};
use events::UserId;
use moka::sync::Cache;
use runtime::Clock;
use tokio::{sync::Mutex, time::sleep};

pub use comparison::{Comparison, erased_people};
pub use copying::Copied;
pub use followed_erasures::Erasures;
use key_metrics::Counters;
pub use rewrapping::Rewrapped;

use crate::{
    KeyError, MasterKeys,
    data_key::{Key, generate},
};

/// The most keys in the cache; each takes about a hundred bytes.
const CACHED: u64 = 20_000;
/// How long a key stays in the cache. For this long a key that another process has destroyed may still be used.
const CACHED_FOR: Duration = Duration::from_secs(3);
/// The most keys in one statement.
const AT_ONCE: usize = 500;
/// How often it is tried to empty the -wal while somebody reads from it. During a try nobody can make a key.
const TRIES: u32 = 20;
/// The pause after a try, in which others can write.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// The state of a person's key.
#[derive(Debug, Clone)]
pub(crate) enum SubjectKey {
    /// It can be used.
    Live(Arc<Key>),
    /// It was destroyed.
    Destroyed,
    /// It exists but cannot be decrypted.
    Damaged,
}

/// The key that encrypts events about `subject`.
pub(crate) fn sealing_key(keys: &HashMap<UserId, SubjectKey>, subject: UserId) -> Result<Arc<Key>, KeyError> {
    match keys.get(&subject) {
        Some(SubjectKey::Live(key)) => Ok(Arc::clone(key)),
        // The person was erased, so a late event is encrypted under a key that is thrown away.
        Some(SubjectKey::Destroyed) => {
            let key = Key::new(generate().as_slice()).ok_or(KeyError::Unusable)?;
            Ok(Arc::new(key))
        }
        Some(SubjectKey::Damaged) => Err(KeyError::Damaged(subject)),
        None => Err(KeyError::Lost(subject)),
    }
}

/// The number of people with a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyCount {
    /// People whose key exists.
    pub held: u64,
    /// People whose key was destroyed.
    pub destroyed: u64,
}

/// The keys of people. Cheap to clone.
#[derive(Clone)]
pub struct SubjectKeys(Arc<Inner>);

struct Inner {
    database: Database,
    master_keys: MasterKeys,
    clock: Arc<dyn Clock>,
    cache: Cache<UserId, SubjectKey>,
    counters: Counters,
    /// Whether a destroyed key may still be in the -wal. An earlier process may have left one.
    may_linger: Mutex<bool>,
}

impl SubjectKeys {
    /// Opens the keys in `database`, which has the current [`database::Schema::SubjectKeys`].
    ///
    /// # Errors
    /// When the database does not answer, or its keys are wrapped by none of `master_keys`.
    pub async fn open(
        database: Database,
        master_keys: MasterKeys,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let cache = Cache::builder()
            .max_capacity(CACHED)
            .time_to_live(CACHED_FOR)
            .build();
        let keys = Self(Arc::new(Inner {
            database,
            master_keys,
            clock,
            cache,
            counters: Counters::of_this_process(),
            may_linger: Mutex::new(true),
        }));
        keys.check_master_keys().await?;
        Ok(keys)
    }

    /// Reports that there are encrypted events about `subject`, but no key.
    pub(crate) fn report_lost(&self, subject: UserId) {
        self.0.counters.report_lost(subject);
    }

    /// Whether `database` is empty: no key was ever created or destroyed.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn are_none(database: &Database) -> Result<bool, KeyError> {
        let row = database
            .fetch_optional("SELECT subject FROM data_keys LIMIT 1", &[])
            .await?;
        Ok(row.is_none() && !Self::are_in_use(database).await?)
    }

    /// Destroys the key of `subject` for good, and prevents that one is created. Data encrypted under it cannot be
    /// decrypted any more: at once in this process, within three seconds in others. Can be repeated.
    ///
    /// # Errors
    /// When it may not be destroyed yet; then it must be repeated.
    pub async fn destroy(&self, subject: UserId) -> Result<(), KeyError> {
        const SQL: &str = "INSERT INTO data_keys (subject, master_key, wrapped, created_at, destroyed_at)
             VALUES ($1, NULL, NULL, $2, $2)
             ON CONFLICT (subject) DO UPDATE SET master_key = NULL, wrapped = NULL,
                destroyed_at = COALESCE(data_keys.destroyed_at, excluded.destroyed_at)
             WHERE data_keys.destroyed_at IS NULL OR data_keys.wrapped IS NOT NULL";
        let now = self.0.clock.now().as_micros();
        let database = &self.0.database;
        // It stays true if this is broken off.
        let mut may_linger = self.0.may_linger.lock().await;
        let lingered = std::mem::replace(&mut *may_linger, true);
        let destroyed = database.execute(SQL, &[subject.0.into(), now.into()]).await?;
        self.0.counters.destroyed.inc_by(destroyed);
        self.0.cache.insert(subject, SubjectKey::Destroyed);
        if destroyed > 0 || lingered {
            self.empty_the_write_ahead_log().await?;
        }
        *may_linger = false;
        Ok(())
    }

    /// The `subjects` who never had a key here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn lacking(&self, subjects: &BTreeSet<UserId>) -> Result<BTreeSet<UserId>, KeyError> {
        let keys = self.of(subjects).await?;
        let lacks = |subject: &UserId| !keys.contains_key(subject);
        Ok(subjects.iter().copied().filter(lacks).collect())
    }

    /// The `subjects` whose keys are destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn destroyed(&self, subjects: &BTreeSet<UserId>) -> Result<BTreeSet<UserId>, KeyError> {
        let mut keys = self.of(subjects).await?;
        keys.retain(|_, key| matches!(key, SubjectKey::Destroyed));
        Ok(keys.into_keys().collect())
    }

    /// Whether keys can be made now. For readiness.
    ///
    /// # Errors
    /// When the database does not accept them.
    pub async fn can_make(&self) -> Result<(), KeyError> {
        Ok(self.0.database.can_write_to("data_keys").await?)
    }

    /// Whether the key of `subject` was destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_destroyed(&self, subject: UserId) -> Result<bool, KeyError> {
        let keys = self.of(&BTreeSet::from([subject])).await?;
        Ok(matches!(keys.get(&subject), Some(SubjectKey::Destroyed)))
    }

    /// How many keys there are, and how many were destroyed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<KeyCount, KeyError> {
        let sql = "SELECT COUNT(*) AS rows, COUNT(destroyed_at) AS destroyed FROM data_keys";
        let Some(row) = self.0.database.fetch_optional(sql, &[]).await? else {
            return Ok(KeyCount::default());
        };
        let (rows, destroyed) = (row.unsigned("rows")?, row.unsigned("destroyed")?);
        Ok(KeyCount {
            held: rows.saturating_sub(destroyed),
            destroyed,
        })
    }

    /// The keys of `subjects`, as far as there are any.
    pub(crate) async fn of(
        &self,
        subjects: &BTreeSet<UserId>,
    ) -> Result<HashMap<UserId, SubjectKey>, KeyError> {
        let mut found = HashMap::with_capacity(subjects.len());
        let mut unknown = Vec::new();
        for subject in subjects {
            match self.0.cache.get(subject) {
                Some(key) => {
                    found.insert(*subject, key);
                }
                None => unknown.push(*subject),
            }
        }
        for some in unknown.chunks(AT_ONCE) {
            for (subject, key) in self.load(some).await? {
                self.0.cache.insert(subject, key.clone());
                found.insert(subject, key);
            }
        }
        Ok(found)
    }

    /// Creates keys for `subjects`, who had none a moment ago.
    pub(crate) async fn new_for(&self, subjects: &[UserId]) -> Result<HashMap<UserId, SubjectKey>, KeyError> {
        let mut found = HashMap::with_capacity(subjects.len());
        for some in subjects.chunks(AT_ONCE) {
            self.make(some).await?;
            // Another process may have created or destroyed one meanwhile.
            for (subject, key) in self.load(some).await? {
                self.0.cache.insert(subject, key.clone());
                found.insert(subject, key);
            }
        }
        Ok(found)
    }

    async fn load(&self, subjects: &[UserId]) -> Result<Vec<(UserId, SubjectKey)>, KeyError> {
        let sql = format!(
            "SELECT subject, master_key, wrapped, destroyed_at FROM data_keys WHERE {}",
            Dialect::of(&self.0.database).one_of("subject", "uuid", 1)
        );
        let subjects = list_parameter(subjects.iter().map(UserId::to_string));
        let rows = self.0.database.fetch_all(&sql, &[subjects]).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            keys.push(self.read(&row).await?);
        }
        Ok(keys)
    }

    /// Reads a row of subject, master key, wrapped key and when that was destroyed.
    async fn read(&self, row: &Row) -> Result<(UserId, SubjectKey), KeyError> {
        let subject = UserId(row.uuid(0)?);
        if row.optional_integer(3)?.is_some() {
            return Ok((subject, SubjectKey::Destroyed));
        }
        let unwrapped = match (row.optional_text(1)?, row.optional_bytes(2)?) {
            (Some(id), Some(wrapped)) => self.unwrap(subject, id, &wrapped).await?,
            _ => None,
        };
        let Some(key) = unwrapped else {
            self.0.counters.report_damaged(subject);
            return Ok((subject, SubjectKey::Damaged));
        };
        Ok((subject, SubjectKey::Live(Arc::new(key))))
    }

    /// Decrypts the key of `subject`, which the master key `master` has wrapped; `None` when that fails.
    async fn unwrap(&self, subject: UserId, master: String, wrapped: &[u8]) -> Result<Option<Key>, KeyError> {
        let master_keys = self.0.master_keys.with(&master).await;
        let Some(master_key) = master_keys.iter().find(|key| key.id == master) else {
            // A name that no master key ever had means that only this row is damaged.
            return match self.registered().await?.contains(&master) {
                true => Err(self.other_master_key(master)),
                false => Ok(None),
            };
        };
        let opened = master_key.key.open(subject.0.as_bytes(), wrapped);
        Ok(opened.and_then(|bytes| Key::new(&bytes)))
    }

    /// Creates keys for the `subjects` who have none and never had one.
    async fn make(&self, subjects: &[UserId]) -> Result<(), KeyError> {
        let now = self.0.clock.now().as_micros();
        let master_keys = self.0.master_keys.renewed().await;
        let Some(master_key) = master_keys.first() else {
            return Err(KeyError::Missing(self.0.master_keys.place().to_owned()));
        };
        self.register(&master_key.id).await?;
        let mut places = Vec::with_capacity(subjects.len());
        let mut values: Vec<Value> = vec![master_key.id.as_str().into(), now.into()];
        for subject in subjects {
            let wrapped = master_key.key.seal(subject.0.as_bytes(), generate().as_slice())?;
            let next = values.len() + 1;
            places.push(format!("(${}, $1, ${}, $2)", next, next + 1));
            values.push(subject.0.into());
            values.push(wrapped.into());
        }
        let sql = format!(
            "INSERT INTO data_keys (subject, master_key, wrapped, created_at) VALUES {} ON CONFLICT (subject) DO NOTHING",
            places.join(", ")
        );
        let made = self.0.database.execute(&sql, &values).await?;
        self.0.counters.made.inc_by(made);
        Ok(())
    }

    /// Makes SQLite overwrite deleted data in the file, and empty its -wal. PostgreSQL does this later: until then
    /// the old data is wrapped, and its backups are kept separately.
    async fn empty_the_write_ahead_log(&self) -> Result<(), KeyError> {
        for _ in 0..TRIES {
            if self.0.database.empty_wal().await? {
                return Ok(());
            }
            sleep(BETWEEN_TRIES).await;
        }
        Err(KeyError::Lingers)
    }

    fn other_master_key(&self, id: String) -> KeyError {
        KeyError::OtherMasterKey {
            id,
            place: self.0.master_keys.place().to_owned(),
        }
    }
}

impl fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKeys({})", self.0.database.url())
    }
}
