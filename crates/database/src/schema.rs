//! What there is in a database.

/// What a database holds; each has its own migrations, and in PostgreSQL its own schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The log. Precious.
    EventStore,
    /// The keys under which what is personal in the log is sealed. Precious, and kept apart from the log.
    SubjectKeys,
    /// What the roles themselves must remember: idempotency keys, the relay's progress. Precious.
    Operations,
    /// The transparency log: the Merkle tree over the event log, and what was signed of it. Precious.
    AuditTree,
    /// Everything that is projected from the log. Can be deleted at any time.
    ReadModels,
    /// Read models that are being rebuilt beside those in use.
    ReadModelsShadow,
    /// The read models that were in use before the last rebuild.
    ReadModelsPrevious,
}

impl Schema {
    /// The schema's name in PostgreSQL.
    #[must_use]
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

    /// Whether its connections serve others, too: no two of these have a table of the same name.
    pub(crate) const fn is_shared(self) -> bool {
        match self {
            Self::EventStore | Self::SubjectKeys | Self::Operations | Self::AuditTree | Self::ReadModels => {
                true
            }
            Self::ReadModelsShadow | Self::ReadModelsPrevious => false,
        }
    }

    /// Where PostgreSQL looks for tables.
    pub(crate) const fn search_path(self) -> &'static str {
        if self.is_shared() {
            "read_models,operations,event_store,audit_tree,subject_keys"
        } else {
            self.name()
        }
    }
}
