//! Pages of rows.

/// Cuts `rows`, which a statement for one more than `limit` has read, to a page. Returns the last row of the page if there is a
/// next one, which begins after it.
pub fn cut_page<T>(rows: &mut Vec<T>, limit: u16) -> Option<&T> {
    let more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    rows.last().filter(|_| more)
}
