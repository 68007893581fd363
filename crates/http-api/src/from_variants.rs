//! The conversions into the error of a role.

/// Implements `From` for errors that become a variant of `$error` as they are, or after a conversion of their own.
#[macro_export]
macro_rules! from_variants {
    ($error:ident { $($source:ty => $variant:ident,)+ }) => {
        $(
            impl From<$source> for $error {
                fn from(source: $source) -> Self {
                    Self::$variant(source.into())
                }
            }
        )+
    };
}
