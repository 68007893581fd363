//! Enums whose variants have fixed names, which events, tables, tokens and metrics hold for ever.

/// Declares such an enum as a table `Variant = "name"`. JSON and [`Display`](std::fmt::Display) have the names, and
/// the order is that of the table.
macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal;)+ }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum $enum {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl $enum {
            /// All of them in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in events, tables, tokens and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The one with this name, if there is one.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use crate::{EndReason, Role, Scope, Status};

    #[test]
    fn names_lead_back_and_agree_with_json_and_text() {
        for scope in Scope::ALL {
            assert_eq!(Scope::named(scope.name()), Some(*scope));
            assert_eq!(serde_json::json!(scope), scope.name());
            assert_eq!(scope.to_string(), scope.name());
        }
        assert_eq!(serde_json::from_str::<Status>("\"in_progress\"").unwrap(), Status::InProgress);
        assert_eq!(EndReason::named("Logout"), None);
        assert!(Role::ALL.is_sorted());
    }
}
