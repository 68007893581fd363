//! Pages of rows.

/// The most bytes of texts on a page, so that no answer is much larger, whatever people write. One row alone may have
/// more.
const PAGE_BYTES: u64 = 1 << 20;

/// Cuts `rows`, which a statement for one more than `limit` has read, to a page. Returns the last row of the page if
/// there is a next one, which begins after it.
pub fn cut_page<T>(rows: &mut Vec<T>, limit: u16) -> Option<&T> {
    cut_page_of_texts(rows, limit, |_| 0)
}

/// Like [`cut_page`], for rows with long texts, of so many `bytes`: the page ends earlier when it has a mebibyte of
/// them.
pub fn cut_page_of_texts<T>(rows: &mut Vec<T>, limit: u16, bytes: impl Fn(&T) -> u64) -> Option<&T> {
    let found = rows.len();
    let fitting = rows_within(PAGE_BYTES, rows.iter().take(limit.into()).map(bytes));
    rows.truncate(fitting);
    rows.last().filter(|_| fitting < found)
}

/// The number of first rows that have at most so many bytes together; `bytes` are those of each row. One row alone may
/// have more.
pub fn rows_within(most: u64, bytes: impl Iterator<Item = u64>) -> usize {
    let mut total = 0_u64;
    let fits = |bytes: u64| {
        let is_first = total == 0;
        total = total.saturating_add(bytes);
        is_first || total <= most
    };
    bytes.map(fits).take_while(|fits| *fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_its_limit_or_with_its_bytes_and_has_at_least_one_row() {
        let cut = |mut rows: Vec<u64>, limit| {
            let end = cut_page_of_texts(&mut rows, limit, |bytes| *bytes).copied();
            (rows, end)
        };
        let half = PAGE_BYTES / 2;
        assert_eq!(cut(vec![1, 2, 3], 2), (vec![1, 2], Some(2)));
        assert_eq!(cut(vec![1, 2], 2), (vec![1, 2], None));
        assert_eq!(cut(vec![half, half, 1, 0], 9), (vec![half, half], Some(half)));
        assert_eq!(cut(vec![half, half], 9), (vec![half, half], None));
        assert_eq!(cut(vec![3 * half, 1], 9), (vec![3 * half], Some(3 * half)));
        assert_eq!(cut(vec![3 * half], 9), (vec![3 * half], None));
        assert_eq!(cut(vec![], 9), (vec![], None));
    }
}
