//! Masks secrets in URLs for messages, by `***`.

/// A query parameter whose name contains one of these is secret: `password`, `sslpassword`, `sslkey`, `userKeyFile`,
/// `access_token`, `auth_secret` and the like.
const SECRET: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "credential"];

/// The beginnings of the schemes whose secret parts are known: the password, and some parameters.
const KNOWN: [&str; 6] = ["postgres", "amqp", "kurrent", "kdb", "esdb", "sqlite"];

/// A URL or connection string of any of the servers, with its password and its secret query parameters replaced by
/// `***`, for messages. It need not be a standard URL: those of KurrentDB have several hosts, and passwords may have
/// reserved characters. A text that is no such URL is replaced as a whole: nobody knows where its password is. Of
/// other URLs, such as web addresses, the whole user, query and fragment are replaced, since each may be a token.
pub fn masked(url: &str) -> String {
    let is_known = KNOWN.iter().any(|scheme| url.starts_with(scheme));
    let is_end = |character: char| character == '?' || (character == '#' && !is_known);
    let (before, query) = url.split_at(url.find(is_end).unwrap_or(url.len()));
    let before = match before.split_once("://") {
        Some((scheme, _)) if !is_scheme(scheme) => return "***".to_owned(),
        // The password contains a question mark or a hash.
        Some((_, rest)) if !rest.contains('@') && query.contains('@') => {
            return "***".to_owned();
        }
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, place)) if !is_known => format!("{scheme}://***@{place}"),
            Some((credentials, place)) => {
                let user = credentials.split_once(':').map(|(user, _)| format!("{user}:***"));
                let credentials = user.unwrap_or_else(|| credentials.to_owned());
                format!("{scheme}://{credentials}@{place}")
            }
            // The name and the password of a URL that lacks its host.
            None if !has_ports(rest) => return "***".to_owned(),
            None => before.to_owned(),
        },
        None if before.starts_with("sqlite:") => before.to_owned(),
        None => return "***".to_owned(),
    };
    match query.split_at_checked(1) {
        Some((mark, parameters)) if is_known => {
            let parameters: Vec<String> = parameters.split('&').map(masked_parameter).collect();
            format!("{before}{mark}{}", parameters.join("&"))
        }
        Some((mark, _)) => format!("{before}{mark}***"),
        None => before,
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}

/// Whether every host at the start of `rest` that is followed by a colon has a port there.
fn has_ports(rest: &str) -> bool {
    let hosts = rest.split(['/', '#']).next().unwrap_or_default();
    hosts.split(',').all(|host| {
        let port = match host.rsplit_once(']') {
            Some((_, after)) => after.strip_prefix(':'),
            None => host.split_once(':').map(|(_, port)| port),
        };
        port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok())
    })
}

/// One `name=value` of a query, with secret values masked.
fn masked_parameter(parameter: &str) -> String {
    let secret =
        url::form_urlencoded::parse(parameter.as_bytes()).next().is_some_and(|(name, _)| is_secret(&name));
    match parameter.split_once('=') {
        Some((name, _)) if secret => format!("{name}=***"),
        _ => parameter.to_owned(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn no_secret_is_left_in_a_url() {
        for (url, expected) in [
            ("sqlite:data/events.db", "sqlite:data/events.db"),
            ("postgres://h/db?sslmode=require", "postgres://h/db?sslmode=require"),
            ("postgres://u@h/db?user=a@b", "postgres://u@h/db?user=a@b"),
            ("postgres://u:hunter2@h/db", "postgres://u:***@h/db"),
            ("postgres://u:12/hunter2@h/db", "postgres://u:***@h/db"),
            ("postgres://u:hunter2@hunter2@h/db", "postgres://u:***@h/db"),
            ("postgres://u:hunter2?hunter2@h/db", "***"),
            ("postgres://h/db?user=u&password=hunter2", "postgres://h/db?user=u&password=***"),
            (
                "postgres://u:hunter2@h/db?sslkey=hunter2&sslmode=require&SSLPassword=hunter2",
                "postgres://u:***@h/db?sslkey=***&sslmode=require&SSLPassword=***",
            ),
            ("postgres://h/db?p%61ssword=hunter2", "postgres://h/db?p%61ssword=***"),
            (
                "amqps://u:hunter2@h/%2f?heartbeat=5&auth_secret=hunter2",
                "amqps://u:***@h/%2f?heartbeat=5&auth_secret=***",
            ),
            (
                "kurrentdb://u:hunter2@a:1,b:2?tls=true&userKeyFile=hunter2",
                "kurrentdb://u:***@a:1,b:2?tls=true&userKeyFile=***",
            ),
            (
                "kurrent+discover://u:hunter2@a?tls=true&userKeyFile=hunter2",
                "kurrent+discover://u:***@a?tls=true&userKeyFile=***",
            ),
            ("kdb://u:hunter2@a:1,b:2?tls=true", "kdb://u:***@a:1,b:2?tls=true"),
            ("esdb+discover://u:hunt#er2@a?tls=true", "esdb+discover://u:***@a?tls=true"),
            ("hunter2", "***"),
            ("u:hunter2@h/db", "***"),
            ("postgres:/u:hunter2@h/db", "***"),
            ("postgres:u:hunter2@h:1", "***"),
            ("u:hunter2@h://db", "***"),
            ("postgres://u:hunter2", "***"),
            ("postgres://u:hunter2/db", "***"),
            ("postgres://u:hunt#er2@h/db", "postgres://u:***@h/db"),
            ("kurrentdb://a:1,[::1]:2,c", "kurrentdb://a:1,[::1]:2,c"),
            ("https://h:1/path", "https://h:1/path"),
            ("http://hunter2@h/", "http://***@h/"),
            ("ftp://hunter2@h/", "ftp://***@h/"),
            ("http://u:hunter2@h/path?page=hunter2#hunter2", "http://***@h/path?***"),
            ("http://h/#hunter2?hunter2", "http://h/#***"),
            ("http://u:1#hunter2@h/", "***"),
        ] {
            assert_eq!(masked(url), expected);
        }
    }
}
