//! Arguments that take one of a few names, for values of types that know nothing of the command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Returns a parser of `choices`: the name, the help and the value of each.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    choices: [(&'static str, &'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    let names = choices.map(|(name, help, _)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).try_map(move |given| {
        let chosen = choices.into_iter().find(|(name, ..)| *name == given);
        chosen.map(|(.., value)| value).ok_or("it is not among the choices")
    })
}
