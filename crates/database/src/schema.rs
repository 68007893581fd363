//! The schemas: what a database holds.

/// What a database holds; each has its own migrations, and in PostgreSQL its own schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The event log. Must not be lost.
    EventStore,
    /// The keys that encrypt personal data in the log. Must not be lost, and must be kept apart from the log.
    SubjectKeys,
    /// The state that roles need besides the log: idempotency keys, the relay's progress. Must not be lost.
    Operations,
    /// The transparency log: the Merkle tree over the event log, and its signed checkpoints. Must not be lost.
    AuditTree,
    /// Everything that is projected from the log. Can be deleted at any time and rebuilt.
    ReadModels,
    /// Read models that a rebuild is creating.
    ReadModelsShadow,
    /// The read models that were in use before the last rebuild.
    ReadModelsPrevious,
}

impl Schema {
    /// The schema's name in PostgreSQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventStore => "event_store",
            Self::SubjectKeys => "subject_keys",
            Self::Operations => "operations",
            Self::AuditTree => "audit_tree",
            Self::ReadModels => "read_models",
            Self::ReadModelsShadow => "read_models_shadow",
            Self::ReadModelsPrevious => "read_models_previous",
        }
    }

    /// Whether its connections can be shared with other schemas: no two of these have a table of the same name.
    pub(crate) const fn is_shared(self) -> bool {
        match self {
            Self::EventStore | Self::SubjectKeys | Self::Operations | Self::AuditTree | Self::ReadModels => {
                true
            }
            Self::ReadModelsShadow | Self::ReadModelsPrevious => false,
        }
    }

    /// The search path for tables in PostgreSQL.
    pub(crate) const fn search_path(self) -> &'static str {
        if self.is_shared() {
            "read_models,operations,event_store,audit_tree,subject_keys"
        } else {
            self.name()
        }
    }
}
