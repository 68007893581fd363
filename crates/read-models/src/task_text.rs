//! The two columns for searching parts of a task's text: `tag_list` and `search_text`.

use events::fold_text;

/// Stands before, between and after the tags in `tag_list`, so that only whole tags are found. Tags have no control
/// characters, so none contains it.
const TAG_SEPARATOR: char = '\u{1f}';

/// The column `tag_list`: every tag between two separators; empty without tags.
pub fn tag_list(tags: &[String]) -> String {
    let mut list = String::new();
    for tag in tags {
        list.push(TAG_SEPARATOR);
        list.push_str(tag);
    }
    if !list.is_empty() {
        list.push(TAG_SEPARATOR);
    }
    list
}

/// The text that is part of `tag_list` exactly when `tag` is one of the tags.
pub fn in_tag_list(tag: &str) -> String {
    format!("{TAG_SEPARATOR}{tag}{TAG_SEPARATOR}")
}

/// The column `search_text`: title, description and tags, folded. `folded_title` has been folded already.
pub fn search_text(folded_title: &str, description: Option<&str>, tags: &[String]) -> String {
    let description = fold_text(description.unwrap_or_default());
    let tags: Vec<String> = tags.iter().map(|tag| fold_text(tag)).collect();
    format!("{folded_title}\n{description}\n{}", tags.join("\n"))
}
