//! A command on one aggregate: load, decide, append, and all of it again after a conflict. Tasks have a loop of their own
//! (`command-api/src/handling/handler.rs`), since they begin with what is in memory, look for earlier tries and queue after a
//! conflict: one loop with a hook for each of these would be harder to read than two.

use events::{Aggregate, Metadata, Timestamp};

use crate::{Appended, Conflicts, ExecuteError, GivenUp, Loaded, Repository, RepositoryError};

/// A command that went through.
#[derive(Debug)]
pub struct Executed<A> {
    /// The state now.
    pub state: Option<A>,
    /// The log's position of the stream's last event.
    pub position: u64,
    /// Whether anything was appended.
    pub changed: bool,
}

impl<A: Aggregate> Repository<A> {
    /// Loads the aggregate, decides at the present time, and appends what was decided, with `metadata`. All of it again
    /// when somebody else appended in between.
    ///
    /// # Errors
    /// [`ExecuteError::Refused`] when the decision is to refuse.
    pub async fn execute<R>(
        &self,
        id: &A::Id,
        metadata: &Metadata,
        mut decide: impl FnMut(Option<&A>, Timestamp) -> Result<Vec<A::Event>, R>,
    ) -> Result<Executed<A>, ExecuteError<R>> {
        let mut conflicts = Conflicts::default();
        loop {
            let loaded = self.load(id).await?;
            let events = decide(loaded.state.as_ref(), self.clock.now()).map_err(ExecuteError::Refused)?;
            if events.is_empty() {
                return Ok(Executed::new(loaded, false));
            }
            let appended = self.append(id, loaded, &events, metadata).await;
            if let Appended::Written(after) = appended.map_err(RepositoryError::from)? {
                return Ok(Executed::new(after, true));
            }
            if let Err(GivenUp { conflicts }) = conflicts.meet() {
                return Err(ExecuteError::Failed(RepositoryError::Contended {
                    stream: A::stream(id),
                    conflicts,
                }));
            }
            conflicts.pause().await;
        }
    }
}

impl<A> Executed<A> {
    fn new(loaded: Loaded<A>, changed: bool) -> Self {
        Self {
            position: loaded.position(),
            state: loaded.state,
            changed,
        }
    }
}
