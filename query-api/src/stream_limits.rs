//! Limits the event streams of one person. The server limits all streams together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use events::UserId;
use prometheus::IntGauge;

/// The most streams of one person. More devices than most people have; each costs a connection.
const MOST_OF_ONE: usize = 8;

/// This person has the most streams already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this person has too many streams")]
pub(crate) struct TooManyStreams;

/// The open streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    taken: Mutex<HashMap<UserId, usize>>,
    open: IntGauge,
}

/// Held while a stream lasts.
#[derive(Debug)]
pub(crate) struct Place {
    places: StreamLimits,
    owner: UserId,
}

impl StreamLimits {
    /// Creates the limits; `open` is the number of open streams.
    pub(crate) fn new(open: IntGauge) -> Self {
        let taken = Mutex::default();
        Self(Arc::new(Inner { taken, open }))
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn take(&self, owner: UserId) -> Result<Place, TooManyStreams> {
        let mut taken = self.taken();
        let of_one = taken.entry(owner).or_default();
        if *of_one >= MOST_OF_ONE {
            return Err(TooManyStreams);
        }
        *of_one += 1;
        self.0.open.inc();
        Ok(Place {
            places: self.clone(),
            owner,
        })
    }

    /// Nothing panics while it holds the lock.
    fn taken(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(of_one) = taken.get_mut(&self.owner) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.remove(&self.owner);
            }
        }
        self.places.0.open.dec();
    }
}
