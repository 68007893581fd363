//! What the measurements say.

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
