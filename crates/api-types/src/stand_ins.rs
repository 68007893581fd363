//! The schemas of values that the domain defines: `events` knows nothing of OpenAPI, so a type of the same name stands
//! in for each of its types wherever a schema is made.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat, Type},
};

/// White space, as it is dropped around a line.
const SPACE: &str = "\\t-\\r \\u0085\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000";
/// What no line may contain: control characters and direction controls.
const REFUSED: &str = "\\u0000-\\u001F\\u007F-\\u009F\\u202A-\\u202E\\u2066-\\u2069";

/// One line with something in it, and no white space around it.
pub(crate) fn line() -> String {
    format!("^[^{SPACE}{REFUSED}]([^{REFUSED}]*[^{SPACE}{REFUSED}])?$")
}

/// Anything but white space alone.
pub(crate) fn not_blank() -> String {
    format!("[^{SPACE}]")
}

/// When a task is due: a day (taken in UTC) or an instant, in the years 1970 to 9999.
#[derive(Debug)]
pub(crate) enum Due {}

impl PartialSchema for Due {
    fn schema() -> RefOr<Schema> {
        let day = "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}";
        let form = |format, end: &str, example: &str| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(format)))
                .pattern(Some(format!("{day}{end}")))
                .examples([example])
        };
        OneOfBuilder::new()
            .description(Some(
                "When a task is due: a day (taken in UTC) or an instant, in the years 1970 to 9999.",
            ))
            .item(form(KnownFormat::Date, "$", "2026-12-01"))
            .item(form(KnownFormat::DateTime, "[Tt]", "2026-12-01T09:00:00Z"))
            .into()
    }
}

impl ToSchema for Due {}

macro_rules! stand_ins {
    ($($(#[doc = $doc:literal])+ $name:ident => $build:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub(crate) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                    let text = [$($doc,)+].map(str::trim).join(" ");
                    let object = ObjectBuilder::new().schema_type(Type::String).description(Some(text));
                    build(object).build().into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

stand_ins! {
    /// A UUID (version 7) in its hyphenated form.
    Id => |id| id
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .examples(["01a204f4-5231-77cc-84db-0e3c4efea8f4"]);
    /// An instant in UTC, RFC 3339 with microseconds at most.
    Instant => |instant| instant
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-11-22T20:30:50.417526Z"]);
    /// A title: one line with a visible character, without control characters and direction controls. White space
    /// around it is removed.
    Title => |title| title.min_length(Some(1)).max_length(Some(200)).pattern(Some(line())).examples(["Write the report"]);
    /// A description: any number of lines, without other control characters.
    Description => |description| description
        .max_length(Some(10_000))
        .pattern(Some("^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"))
        .examples(["Two pages."]);
    /// A tag: one line with a visible character, without control characters and direction controls. White space
    /// around it is removed.
    Tag => |tag| tag.min_length(Some(1)).max_length(Some(50)).pattern(Some(line())).examples(["work"]);
    /// A display name: one line with a visible character, without control characters and direction controls. White
    /// space around it is removed.
    DisplayName => |name| name.min_length(Some(1)).max_length(Some(100)).pattern(Some(line())).examples(["Ada"]);
    /// The reason for an admin's action, for the audit trail: one line without an e-mail address.
    AdminReason => |reason| reason.min_length(Some(1)).max_length(Some(500)).pattern(Some(line())).examples(["Ticket 4711"]);
    /// A new password: any characters, counted in Unicode NFC. It must not be a common password, a short pattern, a
    /// run along the keyboard, or made of the address.
    NewPassword => |password| password
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .min_length(Some(15))
        .max_length(Some(128));
    /// The scope of a program token. `tasks:read`: read tasks. `tasks:write`: change them. `audit:read`: read the
    /// audit trail.
    Scope => |scope| scope.enum_values(Some(["tasks:read", "tasks:write", "audit:read"]));
    /// How a command of an operator ended.
    OperationOutcome => |outcome| outcome.enum_values(Some(["succeeded", "failed"]));
    /// The status of a task.
    Status => |status| status.enum_values(Some(["open", "in_progress", "done", "cancelled"]));
    /// The priority of a task.
    Priority => |priority| priority.enum_values(Some(["low", "normal", "high", "urgent"]));
    /// The role of an account. `user`: own tasks. `auditor`: read the whole audit trail. `admin`: manage accounts,
    /// and everything an auditor may do.
    Role => |role| role.enum_values(Some(["user", "auditor", "admin"]));
}
