//! The address of the broker, and the authorities that are trusted for TLS.

use std::fmt;

use lapin::{tcp::OwnedTLSConfig, uri::AMQPScheme, uri::AMQPUri};
use url::Url;

use crate::BusError;

/// The query parameter with the file of authorities, as RabbitMQ's own clients call it.
const AUTHORITIES: &str = "cacertfile";

/// The parts of a broker's URL.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
}

impl Address {
    /// Reads `amqp://…`, or `amqps://…?cacertfile=…` with the file of the authorities that issued the broker's
    /// certificate. Without that file, the authorities of the web are trusted.
    pub(super) fn read(text: &str) -> Result<Self, BusError> {
        let refused = |reason: &dyn fmt::Display| BusError::unavailable(reason.to_string());
        let url = Url::parse(text).map_err(|error| refused(&format!("not an AMQP URL: {error}")))?;
        // The library's error would contain the text with the password.
        if !matches!(url.scheme(), "amqp" | "amqps") || !url.has_authority() {
            return Err(refused(&"not an AMQP URL: expected amqp://user:password@host:port/vhost"));
        }
        let mut uri: AMQPUri =
            text.parse().map_err(|reason: String| refused(&format!("not an AMQP URL: {reason}")))?;
        if uri.vhost.is_empty() {
            return Err(refused(
                &"the AMQP URL names an empty vhost: write /%2f at its end if you mean the default one",
            ));
        }
        // The library would take an IPv6 address for localhost.
        if let Some(url::Host::Ipv6(address)) = url.host() {
            uri.authority.host = address.to_string();
        }
        let file = url.query_pairs().find(|(name, _)| name == AUTHORITIES);
        let cert_chain = match file {
            Some(_) if uri.scheme == AMQPScheme::AMQP => {
                return Err(refused(&format!(
                    "{AUTHORITIES} is about TLS, and the URL is without: it has to begin with amqps"
                )));
            }
            Some((_, file)) => {
                Some(tls::authorities(file.as_ref().as_ref()).map_err(|error| refused(&error))?)
            }
            None => None,
        };
        let tls = OwnedTLSConfig { cert_chain, ..OwnedTLSConfig::default() };
        Ok(Self { uri, tls })
    }
}

impl fmt::Debug for Address {
    /// Leaves out the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        f.debug_struct("Address")
            .field("host", &authority.host)
            .field("port", &authority.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Address::read(url).unwrap_err().to_string()
    }

    #[test]
    fn an_address_is_read_with_whom_to_believe_about_it() {
        let plain = Address::read("amqp://guest:guest@localhost:5672/%2f").unwrap();
        assert_eq!(plain.tls, OwnedTLSConfig::default());
        let six = Address::read("amqp://guest:guest@[2001:db8::1]:5672/%2f").unwrap();
        assert_eq!(six.uri.authority.host, "2001:db8::1");
        let file = std::env::temp_dir().join("no-such-file-of-authorities.pem");
        let with = |scheme: &str| format!("{scheme}://a:secret@mq.example/%2f?cacertfile={}", file.display());
        assert!(refused(&with("amqps")).contains("cannot read"), "{}", refused(&with("amqps")));
        assert!(refused(&with("amqp")).contains("amqps"), "{}", refused(&with("amqp")));
        for text in
            ["http://mq.example", "guest:hush@mq.example", "amqp:/guest:hush@h", "amqp:guest:hush@h:1"]
        {
            let said = refused(text);
            assert!(said.contains("not an AMQP URL") && !said.contains("hush"), "{said}");
        }
        assert!(!format!("{plain:?}").contains("guest"));
    }

    #[test]
    fn an_address_names_no_empty_vhost() {
        for text in ["amqp://guest:hush@localhost:5672/", "amqp://localhost/?heartbeat=5"] {
            let said = refused(text);
            assert!(said.contains("/%2f") && !said.contains("hush"), "{said}");
        }
        assert_eq!(Address::read("amqp://localhost:5672").unwrap().uri.vhost, "/");
    }
}
