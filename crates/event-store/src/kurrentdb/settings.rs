//! What a connection string says. The grammar is the vendor's, with two parameters of Taskledger's own:
//! `streamPrefix`, with which the names of all streams begin, and `maxAppendSize`, for servers whose bound is not the
//! usual one.

use std::{collections::HashMap, fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use database::masked;
use percent_encoding::percent_decode_str;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Identity},
};

use crate::OpenError;

const DEFAULT_PORT: u16 = 2113;
/// What servers take in one append unless they are told otherwise.
const DEFAULT_MAX_APPEND_BYTES: usize = 1 << 20;

/// Where a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A connection string, read.
pub(super) struct Settings {
    /// For messages, with the password masked.
    pub(super) url: String,
    pub(super) hosts: Vec<Address>,
    /// Whether the hosts are asked which node is the leader. A single host without `+discover` is the node.
    pub(super) is_cluster: bool,
    /// Nothing means plain text.
    pub(super) tls: Option<ClientTlsConfig>,
    /// The header `authorization`.
    pub(super) authorization: Option<MetadataValue<Ascii>>,
    pub(super) connection_name: Option<MetadataValue<Ascii>>,
    /// For one question to one node.
    pub(super) gossip_timeout: Duration,
    /// A connection over which nothing came for so long is pinged.
    pub(super) keep_alive_interval: Duration,
    /// A connection whose ping is not answered within this time is lost.
    pub(super) keep_alive_timeout: Duration,
    /// An operation that has not succeeded by then fails.
    pub(super) deadline: Duration,
    /// What the names of streams begin with on the server.
    pub(super) prefix: String,
    pub(super) max_append_bytes: usize,
}

impl Settings {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        parse(url).map_err(|reason| OpenError::Url {
            url: masked(url),
            reason,
        })
    }
}

fn parse(url: &str) -> Result<Settings, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is no connection string")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (credentials, hosts) = match place.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, place),
    };
    let hosts: Vec<Address> = hosts
        .strip_suffix('/')
        .unwrap_or(hosts)
        .split(',')
        .map(host)
        .collect::<Result<_, _>>()?;
    let mut parameters = Parameters::new(query)?;
    let is_cluster = scheme.ends_with("+discover") || hosts.len() > 1;
    let milliseconds = |value: Option<String>, default: u64| -> Result<Duration, String> {
        match value {
            // The vendor's way to turn something off. What waits without an end is not to be had here.
            None => Ok(Duration::from_millis(default)),
            Some(value) if value == "-1" => Ok(Duration::from_millis(default)),
            Some(value) => match value.parse() {
                Ok(number) if number > 0 => Ok(Duration::from_millis(number)),
                _ => Err(format!("{value:?} is no number of milliseconds")),
            },
        }
    };
    let prefix = parameters.take("streamprefix").unwrap_or_default();
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    if !prefix.chars().all(plain) {
        return Err("streamPrefix takes letters, digits and `-`, `_`, `.` only".to_owned());
    }
    let settings = Settings {
        url: masked(url),
        hosts,
        is_cluster,
        tls: tls(&mut parameters)?,
        authorization: credentials.map(authorization).transpose()?,
        connection_name: parameters
            .take("connectionname")
            .map(|name| {
                name.parse()
                    .map_err(|_| "connectionName takes plain text".to_owned())
            })
            .transpose()?,
        gossip_timeout: milliseconds(parameters.take("gossiptimeout"), 1_000)?,
        keep_alive_interval: milliseconds(parameters.take("keepaliveinterval"), 2_000)?,
        keep_alive_timeout: milliseconds(parameters.take("keepalivetimeout"), 2_000)?,
        deadline: milliseconds(parameters.take("defaultdeadline"), 10_000)?,
        max_append_bytes: match parameters.take("maxappendsize") {
            Some(bytes) => bytes
                .parse()
                .map_err(|_| format!("{bytes:?} is no number of bytes"))?,
            None => DEFAULT_MAX_APPEND_BYTES,
        },
        prefix,
    };
    // All calls need the leader, and it is looked for until the deadline: these say nothing here.
    for ignored in ["nodepreference", "maxdiscoverattempts", "discoveryinterval"] {
        parameters.take(ignored);
    }
    parameters.end()?;
    Ok(settings)
}

fn host(text: &str) -> Result<Address, String> {
    let wrong = || format!("{text:?} is no host with a port");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or_else(wrong)?),
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| wrong())?,
        None => DEFAULT_PORT,
    };
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.:".contains(symbol);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(wrong());
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| "it is not UTF-8")?.into_owned())
}

fn authorization(credentials: &str) -> Result<MetadataValue<Ascii>, String> {
    let (name, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let plain = format!("{}:{}", decoded(name)?, decoded(password)?);
    let mut value: MetadataValue<Ascii> = format!("Basic {}", STANDARD.encode(plain))
        .parse()
        .map_err(|_| "the user name cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(parameters: &mut Parameters) -> Result<Option<ClientTlsConfig>, String> {
    let file = |path: String| std::fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"));
    let is_plain = parameters.flag("tls")? == Some(false);
    if parameters.flag("tlsverifycert")? == Some(false) && !is_plain {
        return Err(
            "tlsVerifyCert=false would let anybody be the server; name its authority with tlsCAFile"
                .to_owned(),
        );
    }
    let authority = parameters.take("tlscafile").map(file).transpose()?;
    let certificate = parameters.take("usercertfile").map(file).transpose()?;
    let key = parameters.take("userkeyfile").map(file).transpose()?;
    if is_plain {
        return Ok(None);
    }
    let mut tls = ClientTlsConfig::new();
    tls = match authority {
        Some(authority) => tls.ca_certificate(Certificate::from_pem(authority)),
        None => tls.with_native_roots(),
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => tls = tls.identity(Identity::from_pem(certificate, key)),
        (None, None) => {}
        _ => return Err("userCertFile and userKeyFile belong together".to_owned()),
    }
    Ok(Some(tls))
}

/// The query, with the names of parameters in lower case.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn new(query: &str) -> Result<Self, String> {
        let mut parameters = HashMap::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            parameters.insert(decoded(name)?.to_ascii_lowercase(), decoded(value)?);
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(format!("{name} is true or false")),
        }
    }

    fn end(self) -> Result<(), String> {
        match self.0.into_keys().next() {
            Some(name) => Err(format!("there is no parameter {name}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> (Vec<String>, bool) {
        let settings = Settings::parse(url).unwrap();
        let hosts = settings.hosts.iter().map(Address::to_string).collect();
        (hosts, settings.is_cluster)
    }

    #[test]
    fn hosts_are_read_in_every_form() {
        for (url, expected, is_cluster) in [
            ("esdb://host?tls=false", vec!["host:2113"], false),
            ("esdb://user@host:1234/?tls=false", vec!["host:1234"], false),
            ("kurrentdb://u:p@a,b:1?TLS=false", vec!["a:2113", "b:1"], true),
            ("kdb+discover://a.b-c?tls=false", vec!["a.b-c:2113"], true),
            (
                "esdb://[::1]:5,[fe80::2]?tls=false",
                vec!["[::1]:5", "[fe80::2]:2113"],
                true,
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(hosts(url), (expected, is_cluster), "{url}");
        }
    }

    #[test]
    fn parameters_are_read_whatever_their_case() {
        let settings = Settings::parse(
            "esdb://a%40b:p%3Aw@host?tls=false&STREAMPREFIX=x.&nodePreference=leader&keepAliveInterval=-1\
             &defaultDeadline=1500&maxAppendSize=2000",
        )
        .unwrap();
        assert_eq!(settings.prefix, "x.");
        assert_eq!(settings.deadline, Duration::from_millis(1_500));
        assert_eq!(settings.keep_alive_interval, Duration::from_secs(2));
        assert_eq!(settings.max_append_bytes, 2_000);
        // a@b:p:w
        assert_eq!(settings.authorization.unwrap(), "Basic YUBiOnA6dw==");
        assert!(settings.tls.is_none());
        assert!(Settings::parse("esdb://host").unwrap().tls.is_some());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_the_password() {
        for url in [
            "esdb://admin:s3cret@host?streamPrefix=a/b",
            "esdb://admin:s3cret@one,two:x?tls=false",
            "esdb://admin:s3cret@host/path",
            "esdb://admin:s3cret@host?tls=perhaps",
            "esdb://admin:s3cret@host?tlsVerifyCert=false",
            "esdb://admin:s3cret@host?tlsCAFile=/nowhere/ca.pem",
            "esdb://admin:s3cret@host?nodePreferences=leader",
            "esdb://admin:s3cret@host?tls=false&gossipTimeout=0",
            "esdb://admin:s3cret@?tls=false",
        ] {
            let error = Settings::parse(url).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("admin:***@"), "{error}");
        }
    }
}
