//! The data keys of people, one for each, in their table: created at the first event about a person, and never again
//! after they were destroyed.

mod comparison;
mod copying;
mod followed_erasures;
mod key_metrics;
mod key_states;
mod master_key_registry;
mod rewrapping;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use database::{Database, DatabaseError, Dialect, Row, Value, list_parameter};
use events::UserId;
use moka::sync::Cache;
use runtime::Clock;
use tokio::{sync::Mutex, time::sleep};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use comparison::{Comparison, erased_people};
pub use copying::Copied;
pub use followed_erasures::Erasures;
use key_metrics::Counters;
pub use key_states::KeyCount;
pub use rewrapping::Rewrapped;

use crate::{
    KeyError, MasterKeys,
    data_key::{Key, generate},
};

/// The most keys in the cache; each takes about a hundred bytes.
const CACHE_CAPACITY: u64 = 20_000;
/// How long a key stays in the cache. For this long a key that another process has destroyed may still be used.
const CACHE_TTL: Duration = Duration::from_secs(3);
/// The most keys in one statement.
const KEYS_PER_STATEMENT: usize = 500;
/// The most attempts to empty the -wal while somebody reads from it. Nobody can make a key during an attempt.
const MAX_ATTEMPTS: u32 = 20;
/// The pause after an attempt, in which others can write.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(50);

/// The state of a person's key.
#[derive(Debug, Clone)]
pub(crate) enum SubjectKey {
    /// It can be used.
    Live(Arc<Key>),
    /// It was destroyed.
    Destroyed,
    /// It exists but cannot be decrypted.
    Damaged,
    /// It is wrapped by a master key that this process does not have.
    OtherMasterKey {
        /// The id of the master key.
        id: String,
        /// Where the master keys of this process come from.
        place: String,
    },
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
        Some(SubjectKey::OtherMasterKey { id, place }) => {
            Err(KeyError::OtherMasterKey { id: id.clone(), place: place.clone() })
        }
        None => Err(KeyError::Lost(subject)),
    }
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
    /// When the database does not answer, or a key is wrapped by none of `master_keys`.
    pub async fn open(
        database: Database,
        master_keys: MasterKeys,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let cache = Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(CACHE_TTL).build();
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
        // It stays true if this is interrupted.
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
        for some in unknown.chunks(KEYS_PER_STATEMENT) {
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
        for some in subjects.chunks(KEYS_PER_STATEMENT) {
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
        let elsewhere = self.other_master_keys(&rows).await?;
        rows.iter().map(|row| self.read(row, &elsewhere)).collect()
    }

    /// The registered master keys that wrap keys of `rows` and that this process does not have. Whoever wraps with a
    /// key puts it into the file before, so the file is read again.
    async fn other_master_keys(&self, rows: &[Row]) -> Result<BTreeSet<String>, KeyError> {
        let mut others = BTreeSet::new();
        for row in rows {
            others.extend(row.optional_text(1).ok().flatten());
        }
        let ours = self.0.master_keys.ids();
        others.retain(|id| !ours.contains(id));
        if others.is_empty() {
            return Ok(others);
        }
        // A name that no master key ever had means that only this row is damaged.
        let registered = self.registered().await?;
        others.retain(|id| registered.contains(id));
        if !others.is_empty() {
            self.0.master_keys.read_again().await?;
            let ours = self.0.master_keys.ids();
            others.retain(|id| !ours.contains(id));
        }
        Ok(others)
    }

    /// Reads a row of subject, master key, wrapped key and when that was destroyed. This process does not have the
    /// master keys `elsewhere`.
    fn read(&self, row: &Row, elsewhere: &BTreeSet<String>) -> Result<(UserId, SubjectKey), KeyError> {
        let subject = UserId(row.uuid(0)?);
        // Columns of SQLite may hold values of any type.
        let columns = || -> Result<_, DatabaseError> {
            Ok((row.optional_integer(3)?, row.optional_text(1)?, row.optional_bytes(2)?))
        };
        let (destroyed_at, master_key, wrapped) = columns().unwrap_or_default();
        if destroyed_at.is_some() {
            return Ok((subject, SubjectKey::Destroyed));
        }
        let unwrapped = match (master_key, wrapped) {
            (Some(id), Some(_)) if elsewhere.contains(&id) => {
                let error = self.other_master_key(id.clone());
                tracing::error!(account.id = %subject, %error, "the key of a person cannot be decrypted here");
                let place = self.0.master_keys.place().to_owned();
                return Ok((subject, SubjectKey::OtherMasterKey { id, place }));
            }
            (Some(id), Some(wrapped)) => self.unwrap(subject.0, &id, &wrapped),
            _ => None,
        };
        let Some(key) = unwrapped.and_then(|bytes| Key::new(&bytes)) else {
            self.0.counters.report_damaged(subject);
            return Ok((subject, SubjectKey::Damaged));
        };
        Ok((subject, SubjectKey::Live(Arc::new(key))))
    }

    /// Decrypts the key of `subject`, which the master key `master` has wrapped; `None` when that fails.
    fn unwrap(&self, subject: Uuid, master: &str, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let master_keys = self.0.master_keys.known();
        let master_key = master_keys.iter().find(|key| key.id == master)?;
        master_key.key.open(subject.as_bytes(), wrapped)
    }

    /// Creates keys for the `subjects` who have none and never had one.
    async fn make(&self, subjects: &[UserId]) -> Result<(), KeyError> {
        let now = self.0.clock.now().as_micros();
        let master_keys = self.0.master_keys.renewed().await;
        let master_key = self.wrapping_key(&master_keys).await?;
        let mut new = Vec::with_capacity(subjects.len());
        let mut values: Vec<Value> = vec![master_key.id.as_str().into(), now.into()];
        for subject in subjects {
            let wrapped = master_key.key.seal(subject.0.as_bytes(), generate().as_slice())?;
            let next = values.len() + 1;
            new.push(format!("(${}, ${})", next, next + 1));
            values.push(subject.0.into());
            values.push(wrapped.into());
        }
        // The master key may be retired at this moment.
        let sql = format!(
            "WITH new (subject, wrapped) AS (VALUES {})
             INSERT INTO data_keys (subject, master_key, wrapped, created_at)
             SELECT subject, $1, wrapped, $2 FROM new WHERE EXISTS (SELECT 1 FROM master_keys WHERE id = $1)
             ON CONFLICT (subject) DO NOTHING",
            new.join(", ")
        );
        let made = self.0.database.execute(&sql, &values).await?;
        if made == 0 {
            self.require_registered(&master_key.id).await?;
        }
        self.0.counters.made.inc_by(made);
        Ok(())
    }

    /// Makes SQLite overwrite deleted data in the file, and empty its -wal. PostgreSQL does this later: until then
    /// the old data is wrapped, and its backups are kept separately.
    async fn empty_the_write_ahead_log(&self) -> Result<(), KeyError> {
        for _ in 0..MAX_ATTEMPTS {
            if self.0.database.empty_wal().await? {
                return Ok(());
            }
            sleep(ATTEMPT_INTERVAL).await;
        }
        Err(KeyError::Lingers)
    }

    fn other_master_key(&self, id: String) -> KeyError {
        KeyError::OtherMasterKey { id, place: self.0.master_keys.place().to_owned() }
    }
}

impl fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKeys({})", self.0.database.url())
    }
}
