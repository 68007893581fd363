//! The list of the read models that are folded from streams, and code that follows from it: their rows in memory, and
//! a macro that runs code for each of them.

use events::{Account, Event, RecordedEvent, Session, StreamKind, StreamName, Task};
use uuid::Uuid;

use super::{
    history::TaskVersion,
    model::{Model, Versioned},
    row_buffer::{ApplyFailure, RowBuffer},
    table::Table,
};

/// Passes the list to the macro `then`: each model, the name of its table, and a short description of it.
macro_rules! list_of_models {
    ($then:path => { $($arguments:tt)* }) => {
        $then! {
            { $($arguments)* }
            Task => tasks, "every task, with what lists and searches need";
            Account => accounts, "every account, without secrets";
            Session => sessions, "every login, also ended ones";
        }
    };
}

/// Evaluates an expression for each model of the list: `for_each_model!(M => count += rows::<M>())`.
macro_rules! for_each_model {
    ($($arguments:tt)*) => {
        $crate::models::list_of_models! { $crate::models::each_listed_model => { $($arguments)* } }
    };
}

macro_rules! each_listed_model {
    ({ $name:ident => $body:expr } $($model:ident => $table:ident, $about:literal;)+) => {
        $({
            type $name = events::$model;
            $body;
        })+
    };
}

pub(crate) use {each_listed_model, for_each_model, list_of_models};

/// A model of the list.
pub(crate) trait ListedModel: Model {
    /// A short description of its table.
    const ABOUT: &'static str;

    /// Its rows among those of all models.
    fn slots(rows: &mut ModelRows) -> &mut RowBuffer<Self>;

    /// The key of the row of `stream`, if the stream is of this model.
    fn row_of(stream: &StreamKind) -> Option<Uuid>;
}

macro_rules! models {
    ({} $($model:ident => $table:ident, $about:literal;)+) => {
        /// The known rows of every model.
        #[derive(Debug, Default)]
        pub(crate) struct ModelRows {
            $(pub(crate) $table: RowBuffer<$model>,)+
            /// The changes of tasks by events, if they are wanted.
            pub(crate) history: Option<Vec<TaskVersion>>,
        }

        $(
            impl Versioned for $model {
                fn id(&self) -> Uuid {
                    self.id.0
                }

                fn version(&self) -> u64 {
                    self.version
                }

                fn set_version(&mut self, version: u64) {
                    self.version = version;
                }
            }

            impl ListedModel for $model {
                const ABOUT: &'static str = $about;

                fn slots(rows: &mut ModelRows) -> &mut RowBuffer<Self> {
                    &mut rows.$table
                }

                fn row_of(stream: &StreamKind) -> Option<Uuid> {
                    match stream {
                        StreamKind::$model(id) => Some(id.0),
                        _ => None,
                    }
                }
            }
        )+

        impl ModelRows {
            /// The version of the row of `stream`; 0 without a row, as for addresses.
            pub(crate) fn version(&self, stream: &StreamKind) -> u64 {
                match stream {
                    $(StreamKind::$model(id) => self.$table.version(id.0),)+
                    StreamKind::Email(_) | StreamKind::Admins | StreamKind::Operation(_) => 0,
                }
            }

            /// Removes the row of `stream`. Returns whether there was one.
            pub(crate) fn remove(&mut self, stream: &StreamKind) -> bool {
                match stream {
                    $(StreamKind::$model(id) => self.$table.remove(id.0),)+
                    StreamKind::Email(_) | StreamKind::Admins | StreamKind::Operation(_) => false,
                }
            }

            /// Skips a discarded event of `stream`: only the version of its row changes.
            pub(crate) fn pass_over(&mut self, stream: &StreamKind, record: &RecordedEvent) {
                match stream {
                    $(StreamKind::$model(id) => self.$table.pass_over(id.0, record),)+
                    StreamKind::Email(_) | StreamKind::Admins | StreamKind::Operation(_) => {}
                }
            }

            /// Applies an event that is not a repetition to the row of its stream.
            pub(crate) fn apply(
                &mut self,
                stream: &StreamKind,
                event: &Event,
                record: &RecordedEvent,
            ) -> Result<(), ApplyFailure> {
                match (stream, event) {
                    $((StreamKind::$model(id), Event::$model(event)) => {
                        let before = self.$table.apply(id.0, event, record)?;
                        if let (Some(history), Some(after)) = (&mut self.history, self.$table.0.get(&id.0)) {
                            history.extend(after.state.history(before.as_ref(), record));
                        }
                        Ok(())
                    })+
                    (StreamKind::Email(_), Event::Email(_))
                    | (StreamKind::Admins, Event::Admins(_))
                    | (StreamKind::Operation(_), Event::Operation(_)) => Ok(()),
                    _ => Err(ApplyFailure::Senseless(
                        "its type does not belong into its stream".to_owned(),
                    )),
                }
            }
        }
    };
}

list_of_models! { models => {} }

/// The table of `stream` and the key of its row, if it is of a model.
pub(crate) fn table_of(stream: &StreamName) -> Option<(Table, Uuid)> {
    let kind = stream.kind().ok()?;
    let mut found = None;
    for_each_model!(M => found = found.or(M::row_of(&kind).map(|id| (M::TABLE, id))));
    found
}
