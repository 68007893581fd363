//! Schemas for people: a few words and a link for each value, a table for each object.

use serde_json::Value;

use super::text::{escaped, prose};

/// The schema that `value` refers to, if it refers to one.
fn referred(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}

/// Describes the values of `schema` in a few words.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        let name = escaped(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(options) = schema[any].as_array() {
            return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().map(kind).collect::<Vec<_>>().join(" and ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let names = values.iter().filter_map(Value::as_str);
        return names.map(|name| format!("<code>{}</code>", escaped(name))).collect::<Vec<_>>().join(", ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => vec!["anything"],
    };
    let mut words: Vec<String> = types
        .into_iter()
        .map(|name| match name {
            "array" => format!("array of {}", kind(&schema["items"])),
            name => escaped(name),
        })
        .collect();
    words[0].push_str(&bounds(schema));
    words.join(" or ")
}

/// Describes the limits of the values of `schema`.
fn bounds(schema: &Value) -> String {
    let mut bounds = Vec::new();
    if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
        bounds.push(escaped(format));
    }
    for (least, most, what) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minimum", "maximum", ""),
    ] {
        match (schema[least].as_u64(), schema[most].as_u64()) {
            (Some(least), Some(most)) => bounds.push(format!("{least} to {most}{what}")),
            (Some(least), None) => bounds.push(format!("at least {least}{what}")),
            (None, Some(most)) => bounds.push(format!("at most {most}{what}")),
            (None, None) => {}
        }
    }
    if let Some(default) = schema.get("default") {
        bounds.push(format!("default <code>{}</code>", escaped(&plain(default))));
    }
    match bounds.is_empty() {
        true => String::new(),
        false => format!(" ({})", bounds.join(", ")),
    }
}

/// A value as text, without the quotes of a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One named schema.
pub(super) fn section(name: &str, schema: &Value) -> String {
    let about = schema["description"].as_str().map(prose).unwrap_or_default();
    let body = match properties(schema) {
        rows if rows.is_empty() => format!("<p>{}</p>", kind(schema)),
        rows => format!("<table><tr><th>Field<th>Value<th>Meaning</tr>{rows}</table>"),
    };
    let name = escaped(name);
    format!("<article id=\"schema-{name}\"><h3>{name}</h3><p>{about}</p>{body}</article>")
}

/// A row for each field of an object, including one that consists of several.
fn properties(schema: &Value) -> String {
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let inherited: String = parts
        .map(|part| match referred(part) {
            Some(name) => {
                let name = escaped(name);
                format!("<tr><td colspan=3>Everything that <a href=\"#schema-{name}\">{name}</a> has.</tr>")
            }
            None => properties(part),
        })
        .collect();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let own = schema["properties"].as_object().into_iter().flatten();
    let own: String = own
        .map(|(name, property)| {
            let optional = match required.contains(&name.as_str()) {
                true => "",
                false => " <small>optional</small>",
            };
            let about = property["description"].as_str().map(prose).unwrap_or_default();
            format!("<tr><td><code>{}</code>{optional}<td>{}<td>{about}</tr>", escaped(name), kind(property))
        })
        .collect();
    inherited + &own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_described_in_a_few_words() {
        for (schema, words) in [
            (json!({"type": "string", "maxLength": 9}), "string (at most 9 characters)"),
            (json!({"type": ["string", "null"], "minLength": 1}), "string (at least 1 characters) or null"),
            (
                json!({"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
                "array of integer (at most 2 items)",
            ),
            (json!({"enum": ["a", "b"]}), "<code>a</code>, <code>b</code>"),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Due"}]}),
                "null or <a href=\"#schema-Due\">Due</a>",
            ),
        ] {
            assert_eq!(kind(&schema), words);
        }
    }
}
