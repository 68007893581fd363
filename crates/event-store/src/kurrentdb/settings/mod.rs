//! Reads a connection string. The vendor's parser is used for the parts that it reads correctly. Taskledger has two
//! parameters of its own: `streamPrefix`, the prefix of all stream names, and `maxAppendSize`, for servers with
//! another limit than the default.

use std::{collections::HashMap, fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use eventstore::{ClientSettings, ClientSettingsParseError};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use runtime::masked;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Identity},
};

use crate::OpenError;

/// The default limit of servers for one append.
const DEFAULT_MAX_APPEND_BYTES: usize = 1 << 20;

/// The address of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// The settings of a connection string.
pub(super) struct Settings {
    /// For messages, with the password masked.
    pub(super) url: String,
    pub(super) hosts: Vec<Address>,
    /// Whether the hosts are asked which node is the leader. A single host without `+discover` is used directly.
    pub(super) is_cluster: bool,
    /// `None` means plain text.
    pub(super) tls: Option<ClientTlsConfig>,
    /// The header `authorization`.
    pub(super) authorization: Option<MetadataValue<Ascii>>,
    pub(super) connection_name: Option<MetadataValue<Ascii>>,
    /// The time limit for asking one node for the gossip.
    pub(super) gossip_timeout: Duration,
    /// A connection without traffic for this time is pinged.
    pub(super) keep_alive_interval: Duration,
    /// A connection whose ping is not answered within this time counts as lost.
    pub(super) keep_alive_timeout: Duration,
    /// The time limit of an operation.
    pub(super) deadline: Duration,
    /// The prefix of stream names on the server.
    pub(super) prefix: String,
    pub(super) max_append_bytes: usize,
}

impl Settings {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        parse(url).map_err(|reason| {
            let url = masked(url);
            OpenError::Url {
                // If the end of the password is unknown, the reason may contain a part of it.
                reason: if url == "***" {
                    "expected kurrentdb://user:password@host:port, where special characters in name and password are written as %40 and the like".to_owned()
                } else {
                    reason
                },
                url,
            }
        })
    }
}

/// The parameters that the vendor's parser reads. It also knows the keepalive times, but ignores values below ten
/// seconds, and the deadline and the connection's name, which it does not return.
const VENDORS: [&str; 9] = [
    "tls",
    "tlsverifycert",
    "tlscafile",
    "usercertfile",
    "userkeyfile",
    "gossiptimeout",
    "nodepreference",
    "maxdiscoverattempts",
    "discoveryinterval",
];

fn parse(url: &str) -> Result<Settings, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is no connection string")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // The vendor's parser never gets the credentials: it does not decode them, takes the text after a comma in a
    // password for a host, and repeats them in its errors.
    let (credentials, hosts) = match place.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, place),
    };
    let hosts: Vec<Address> = hosts
        .strip_suffix('/')
        .unwrap_or(hosts)
        .split(',')
        .map(|host| address(scheme, host))
        .collect::<Result<_, _>>()?;
    let mut parameters = Parameters::new(query)?;
    // All calls need the leader, which is searched for until the deadline: `nodePreference`, `maxDiscoverAttempts`
    // and `discoveryInterval` are read and ignored.
    let vendors = vendors_reading(&format!("{scheme}://{}?{}", hosts[0], parameters.vendors()))?;
    if vendors.gossip_timeout().is_zero() {
        return Err("gossipTimeout is more than 0".to_owned());
    }
    let milliseconds = |value: Option<String>, default: u64| -> Result<Duration, String> {
        match value {
            // The vendor's way to disable a limit. Here every wait has a limit.
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
        is_cluster: vendors.is_dns_discovery_enabled() || hosts.len() > 1,
        hosts,
        tls: tls(&vendors)?,
        authorization: credentials.map(authorization).transpose()?,
        connection_name: parameters
            .take("connectionname")
            .map(|name| name.parse().map_err(|_| "connectionName takes plain text".to_owned()))
            .transpose()?,
        gossip_timeout: vendors.gossip_timeout(),
        keep_alive_interval: milliseconds(parameters.take("keepaliveinterval"), 2_000)?,
        keep_alive_timeout: milliseconds(parameters.take("keepalivetimeout"), 2_000)?,
        deadline: milliseconds(parameters.take("defaultdeadline"), 10_000)?,
        max_append_bytes: match parameters.take("maxappendsize") {
            Some(bytes) => bytes.parse().map_err(|_| format!("{bytes:?} is no number of bytes"))?,
            None => DEFAULT_MAX_APPEND_BYTES,
        },
        prefix,
    };
    parameters.end()?;
    Ok(settings)
}

/// Reads a connection string without credentials with the vendor's parser.
fn vendors_reading(url: &str) -> Result<ClientSettings, String> {
    url.parse().map_err(|error: ClientSettingsParseError| match error.error() {
        // The message is then the whole string.
        Some(error) => error.to_string(),
        None => error.message().to_owned(),
    })
}

/// The vendor's parser gets one host at a time. In a list it gives hosts before the last one the wrong port, takes a
/// slash at the end for one more host, and does not read IPv6 addresses. It silently ignores other parts of a URL,
/// such as `#fragment`.
fn address(scheme: &str, host: &str) -> Result<Address, String> {
    let wrong = |reason: &str| format!("{host:?} is no host with a port: {reason}");
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.:[]".contains(symbol);
    if !host.chars().all(plain) {
        return Err(wrong("special character"));
    }
    let vendors = vendors_reading(&format!("{scheme}://{host}")).map_err(|reason| wrong(&reason))?;
    let [endpoint] = vendors.hosts().as_slice() else {
        return Err(wrong("not one host"));
    };
    Ok(Address {
        host: endpoint.host.trim_matches(['[', ']']).to_owned(),
        port: endpoint.port.try_into().map_err(|_| wrong("invalid port number"))?,
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| "it is not UTF-8")?.into_owned())
}

fn authorization(credentials: &str) -> Result<MetadataValue<Ascii>, String> {
    let (name, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let plain = format!("{}:{}", decoded(name)?, decoded(password)?);
    let mut value: MetadataValue<Ascii> =
        format!("Basic {}", STANDARD.encode(plain)).parse().map_err(|_| "the user name cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(vendors: &ClientSettings) -> Result<Option<ClientTlsConfig>, String> {
    let file = |path: &String| std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"));
    let is_secure = vendors.is_secure_mode_enabled();
    if is_secure && !vendors.is_tls_certificate_verification_enabled() {
        return Err("tlsVerifyCert=false would let anybody be the server; name its authority with tlsCAFile"
            .to_owned());
    }
    let mut tls = match vendors.tls_ca_file() {
        Some(authority) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(file(authority)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = vendors.user_certificate() {
        tls = tls.identity(Identity::from_pem(file(certificate)?, file(key)?));
    }
    Ok(is_secure.then_some(tls))
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

    /// Takes the parameters that the vendor's parser reads, as a query with our own defaults. The query is encoded
    /// because that parser reads a plus as a space, and flags are in lower case because it knows no others.
    fn vendors(&mut self) -> String {
        let mut query = "gossiptimeout=1000".to_owned();
        for name in VENDORS {
            let Some(mut value) = self.take(name) else {
                continue;
            };
            if ["tls", "tlsverifycert"].contains(&name) {
                value.make_ascii_lowercase();
            }
            let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            query = format!("{query}&{name}={value}");
        }
        query
    }

    /// Refuses unknown parameters, which the vendor's parser would ignore.
    fn end(self) -> Result<(), String> {
        match self.0.into_keys().next() {
            Some(name) => Err(format!("there is no parameter {name}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
