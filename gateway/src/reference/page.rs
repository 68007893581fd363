//! The reference page: the OpenAPI document as one HTML file.

use serde_json::{Map, Value};

use super::{
    schema::{kind, section},
    text::{escaped, prose},
};

/// The page of `document`.
pub(super) fn of(document: &Value, style: &str) -> String {
    let page = Page { document };
    let title = escaped(document["info"]["title"].as_str().unwrap_or_default());
    let version = escaped(document["info"]["version"].as_str().unwrap_or_default());
    let about = prose(document["info"]["description"].as_str().unwrap_or_default());
    let (contents, groups) = page.groups();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{style}</style></head>\
         <body><nav>{contents}<p><a href=\"#schemas\">Schemas</a></p><p><a href=\"#problems\">Problems</a></p></nav>\
         <main><h1>{title} <small>{version}</small></h1><p>{about}</p>\
         <p>For programs: <a href=\"/openapi.json\">openapi.json</a></p>{groups}\
         <h2 id=\"schemas\">Schemas</h2>{}<h2 id=\"problems\">Problems</h2>{}</main></body></html>\n",
        page.schemas(),
        page.problems(),
    )
}

struct Page<'d> {
    document: &'d Value,
}

impl<'d> Page<'d> {
    /// The table of contents, and the operations of each group.
    fn groups(&self) -> (String, String) {
        let (mut contents, mut groups) = (String::new(), String::new());
        for tag in self.document["tags"].as_array().into_iter().flatten() {
            let name = tag["name"].as_str().unwrap_or_default();
            let about = prose(tag["description"].as_str().unwrap_or_default());
            contents.push_str(&format!("<p>{}</p><ul>", escaped(name)));
            groups.push_str(&format!("<h2>{}</h2><p>{about}</p>", escaped(name)));
            for (method, path, operation) in self.operations(name) {
                let id = escaped(operation["operationId"].as_str().unwrap_or_default());
                let summary = prose(operation["summary"].as_str().unwrap_or_default());
                contents.push_str(&format!("<li><a href=\"#{id}\">{summary}</a></li>"));
                groups.push_str(&format!(
                    "<article id=\"{id}\"><h3>{summary}</h3><p class=\"address\"><b>{method}</b> <code>{}</code></p>{}</article>",
                    escaped(path),
                    self.operation(operation)
                ));
            }
            contents.push_str("</ul>");
        }
        (contents, groups)
    }

    /// The operations of one group, in the order of the document.
    fn operations(&self, tag: &str) -> Vec<(String, &'d str, &'d Value)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (method.to_ascii_uppercase(), path.as_str(), operation))
        });
        all.filter(|(_, _, operation)| operation["tags"][0] == tag).collect()
    }

    fn operation(&self, operation: &Value) -> String {
        let mut html = String::new();
        if let Some(about) = operation["description"].as_str() {
            html.push_str(&format!("<p>{}</p>", prose(about)));
        }
        if operation["security"].is_array() {
            html.push_str("<p>Needs an access token: <code>Authorization: Bearer …</code></p>");
        }
        html.push_str(&self.parameters(operation));
        html.push_str(&self.body(&operation["requestBody"]));
        html.push_str(&self.answers(operation));
        html
    }

    fn parameters(&self, operation: &Value) -> String {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let rows: String = parameters
            .map(|parameter| self.resolved(parameter))
            .map(|parameter| {
                format!(
                    "<tr><td><code>{}</code> <small>{}</small><td>{}<td>{}</tr>",
                    escaped(parameter["name"].as_str().unwrap_or_default()),
                    escaped(parameter["in"].as_str().unwrap_or_default()),
                    kind(&parameter["schema"]),
                    prose(parameter["description"].as_str().unwrap_or_default())
                )
            })
            .collect();
        format!("<h4>Parameters</h4><table><tr><th>Name<th>Value<th>Meaning</tr>{rows}</table>")
    }

    fn body(&self, body: &Value) -> String {
        let Some((_, content)) = members(&body["content"]).next() else {
            return String::new();
        };
        let types: Vec<_> =
            members(&body["content"]).map(|(name, _)| format!("<code>{}</code>", escaped(name))).collect();
        let optional = match body["required"].as_bool() {
            Some(true) => "",
            _ => ", may be left out",
        };
        format!(
            "<h4>Body</h4><p>{} ({}{optional})</p>{}",
            kind(&content["schema"]),
            types.join(" or "),
            example(content)
        )
    }

    fn answers(&self, operation: &Value) -> String {
        let rows: String = members(&operation["responses"])
            .map(|(status, answer)| (status, self.resolved(answer)))
            .map(|(status, answer)| {
                let headers: Vec<_> = members(&answer["headers"])
                    .map(|(name, _)| format!("<code>{}</code>", escaped(name)))
                    .collect();
                let content = members(&answer["content"]).next();
                let body = content.map(|(_, content)| kind(&content["schema"])).unwrap_or_default();
                format!(
                    "<tr><td>{}<td>{}<td>{body}<td>{}</tr>",
                    escaped(status),
                    prose(answer["description"].as_str().unwrap_or_default()),
                    headers.join(", ")
                )
            })
            .collect();
        let success = members(&operation["responses"])
            .filter(|(status, _)| status.starts_with('2'))
            .filter_map(|(_, answer)| members(&answer["content"]).next())
            .map(|(_, content)| example(content));
        let success: String = success.collect();
        format!(
            "<h4>Answers</h4><table><tr><th>Status<th>Meaning<th>Body<th>Headers</tr>{rows}</table>{success}"
        )
    }

    fn schemas(&self) -> String {
        members(&self.document["components"]["schemas"]).map(|(name, schema)| section(name, schema)).collect()
    }

    fn problems(&self) -> String {
        let rows: String = members(&self.document["components"]["examples"])
            .map(|(code, example)| {
                format!(
                    "<tr><td><code>{}</code><td>{}<td>{}</tr>",
                    escaped(code),
                    example["value"]["status"],
                    prose(example["value"]["title"].as_str().unwrap_or_default())
                )
            })
            .collect();
        format!("<table><tr><th>Code<th>Status<th>Title</tr>{rows}</table>")
    }

    /// The value that `value` refers to, or `value` itself.
    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let target = value["$ref"]
            .as_str()
            .and_then(|reference| self.document.pointer(reference.trim_start_matches('#')));
        target.unwrap_or(value)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

/// The example of a body, or the first of several.
fn example(content: &Value) -> String {
    let named = members(&content["examples"]).next().map(|(_, example)| example);
    let summary = named
        .and_then(|example| example["summary"].as_str())
        .map(|summary| format!("<p>{}</p>", prose(summary)))
        .unwrap_or_default();
    let text = match content.get("example").or_else(|| named?.get("value")) {
        Some(Value::String(text)) => text.clone(),
        Some(example) => serde_json::to_string_pretty(example).unwrap_or_default(),
        None => return String::new(),
    };
    format!("{summary}<pre>{}</pre>", escaped(&text))
}
