//! Merges pages of metrics in Prometheus text format 0.0.4: each family has one head, and each sample the label of
//! its replica.

use std::{collections::HashMap, fmt::Write};

/// Families of samples, each with one `HELP` and one `TYPE`, in the order of their first appearance.
#[derive(Default)]
pub(crate) struct Page {
    families: Vec<Family>,
    by_name: HashMap<String, usize>,
    remarks: Vec<String>,
}

#[derive(Default)]
struct Family {
    help: Option<String>,
    kind: Option<String>,
    samples: Vec<String>,
}

impl Page {
    /// Adds a comment for people at the end.
    pub(crate) fn remark(&mut self, remark: &str) {
        self.remarks.push(remark.replace(char::is_control, " "));
    }

    /// Adds the page of one role; its samples get the label `instance` if it is given. One malformed line would make
    /// the merged page unreadable for Prometheus, so a page with one is left out, and the result is `false`.
    pub(crate) fn add(&mut self, text: &str, instance: Option<&str>) -> bool {
        if !text.lines().all(is_line) {
            return false;
        }
        let mut current: Option<String> = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = first_word(help);
                self.family(name).help.get_or_insert_with(|| line.to_owned());
                current = Some(name.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let name = first_word(kind);
                self.family(name).kind.get_or_insert_with(|| line.to_owned());
                current = Some(name.to_owned());
            } else if !line.starts_with('#') {
                let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
                let name = &line[..end];
                // `x_bucket`, `x_sum` and `x_count` follow the head of `x`.
                let family = match &current {
                    Some(family) if name.starts_with(family.as_str()) => family.clone(),
                    _ => name.to_owned(),
                };
                self.family(&family).samples.push(with_instance(line, end, instance));
            }
        }
        true
    }

    fn family(&mut self, name: &str) -> &mut Family {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                self.families.push(Family::default());
                self.by_name.insert(name.to_owned(), self.families.len() - 1);
                self.families.len() - 1
            }
        };
        &mut self.families[index]
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            let lines = family.help.iter().chain(&family.kind).chain(&family.samples);
            for line in lines {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{line}");
            }
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "# {remark}");
        }
        text
    }
}

/// Whether a line is valid: empty, a comment, or a sample with a name, labels, a number and perhaps a time.
fn is_line(line: &str) -> bool {
    let line = line.trim();
    if let Some(kind) = line.strip_prefix("# TYPE ") {
        let mut words = kind.split_whitespace();
        let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        return is_name(name)
            && ["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind)
            && words.next().is_none();
    }
    if let Some(help) = line.strip_prefix("# HELP ") {
        return is_name(first_word(help));
    }
    if line.is_empty() || line.starts_with('#') {
        return true;
    }
    let (name, rest) = line.split_at(line.find(['{', ' ', '\t']).unwrap_or(line.len()));
    let rest = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels),
        None => Some(rest),
    };
    let mut words = rest.unwrap_or_default().split_whitespace();
    let is_number = words.next().is_some_and(|number| number.parse::<f64>().is_ok());
    let is_time = words.next().is_none_or(|time| time.parse::<i64>().is_ok());
    is_name(name) && is_number && is_time && words.next().is_none()
}

fn is_name(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | ':');
    text.starts_with(|first: char| !first.is_ascii_digit()) && text.chars().all(is_part)
}

/// What follows the closing brace of `labels`, if they are well-formed.
fn after_labels(labels: &str) -> Option<&str> {
    let mut rest = labels.trim_start();
    while !rest.starts_with('}') {
        let (name, quoted) = rest.split_once('=')?;
        let value = quoted.trim_start().strip_prefix('"')?;
        let mut is_escaped = false;
        let end = value.find(|character| {
            let is_end = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_end
        })?;
        let after = value.get(end + 1..)?.trim_start();
        if !is_name(name.trim()) || !after.starts_with([',', '}']) {
            return None;
        }
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    rest.strip_prefix('}')
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// `sample`, whose name ends at `end`, with `instance` as its first label. Addresses have no characters that must be
/// escaped.
fn with_instance(sample: &str, end: usize, instance: Option<&str>) -> String {
    let Some(instance) = instance else {
        return sample.to_owned();
    };
    let (name, rest) = sample.split_at(end);
    match rest.strip_prefix('{') {
        Some(labels) if labels.starts_with('}') => format!("{name}{{instance=\"{instance}\"{labels}"),
        Some(labels) => format!("{name}{{instance=\"{instance}\",{labels}"),
        None => format!("{name}{{instance=\"{instance}\"}}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_a_malformed_line_is_left_out() {
        let mut page = Page::default();
        assert!(page.add("good{a=\"b\",} +Inf\n", Some("a:1")));
        for line in [
            "<html>",
            "ok",
            "<p>it works 1</p>",
            "1x 2",
            "x",
            "x y",
            "x 1 y",
            "x 1 2 3",
            "x{ 1",
            "x{a} 1",
            "x{a=b} 1",
            "x{a=\"b} 1",
            "x{a=\"b\\\"} 1",
            "x{a=\"b\" c=\"d\"} 1",
            "x{=\"b\"} 1",
            "# TYPE x nonsense",
            "# TYPE x",
            "# HELP <p> Help.",
        ] {
            assert!(!page.add(&format!("fine 1\n{line}\n"), Some("b:2")), "{line}");
        }
        assert_eq!(page.text(), "good{instance=\"a:1\",a=\"b\",} +Inf\n");
    }

    #[test]
    fn merges_families_under_one_head() {
        let mut page = Page::default();
        page.add(
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{role=\"auth\"} 1\n\
             # HELP wait_seconds Wait.\n# TYPE wait_seconds histogram\n\
             wait_seconds_bucket{role=\"auth\",le=\"+Inf\"} 2\nwait_seconds_sum{role=\"auth\"} 0.5\n\
             wait_seconds_count{role=\"auth\"} 2\n",
            Some("10.0.0.1:8083"),
        );
        page.add(
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{role=\"query-api\"} 3\n\
             plain 7\nempty{} 8 1700000000000\nodd{a=\"x } y\\\"{\"} 9\n",
            Some("10.0.0.2:8082"),
        );
        page.add("# TYPE requests_total counter\nrequests_total{role=\"gateway\"} 4\n", None);
        let expected = r#"# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{instance="10.0.0.1:8083",role="auth"} 1
requests_total{instance="10.0.0.2:8082",role="query-api"} 3
requests_total{role="gateway"} 4
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{instance="10.0.0.1:8083",role="auth",le="+Inf"} 2
wait_seconds_sum{instance="10.0.0.1:8083",role="auth"} 0.5
wait_seconds_count{instance="10.0.0.1:8083",role="auth"} 2
plain{instance="10.0.0.2:8082"} 7
empty{instance="10.0.0.2:8082"} 8 1700000000000
odd{instance="10.0.0.2:8082",a="x } y\"{"} 9
"#;
        assert_eq!(page.text(), expected);
    }
}
