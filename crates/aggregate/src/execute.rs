//! A command on one aggregate: load, decide, append, and all of it again after a conflict. Tasks have a loop of their
//! own (`command-api/src/handling/handler.rs`), since they begin with what is in memory, look for earlier tries and
//! queue after a conflict: a single loop with hooks for all of this would be harder to read.

use events::{Aggregate, Metadata, Timestamp};

use crate::{Appended, Conflicts, ExecuteError, GivenUp, Loaded, Repository, RepositoryError};

/// The result of a command that was accepted.
#[derive(Debug)]
pub struct Executed<A> {
    /// The state after the command.
    pub state: Option<A>,
    /// The log position of the last event of the stream.
    pub position: u64,
    /// Whether anything was appended.
    pub changed: bool,
}

impl<A: Aggregate> Repository<A> {
    /// Loads the aggregate, decides with the current time, and appends the decided events with `metadata`. Repeats
    /// all of this when another process appended in between.
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
        Self { position: loaded.position(), state: loaded.state, changed }
    }
}
