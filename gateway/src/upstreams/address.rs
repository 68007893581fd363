//! The addresses of replicas, as they are configured.

use std::collections::HashSet;

use anyhow::{Context as _, bail, ensure};
use http::uri::{Authority, Scheme};
use runtime::masked;
use url::Url;

use crate::config::Upstream;

/// The address of one replica.
pub(super) struct Address {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// The prefix of every path, without a slash at the end.
    pub(super) prefix: String,
}

impl Address {
    /// `believes_somebody` says whether `https` addresses can be reached at all.
    fn of(role: &str, url: &Url, believes_somebody: bool) -> anyhow::Result<Self> {
        let shown = masked(url.as_str());
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" if believes_somebody => Scheme::HTTPS,
            "https" => bail!(
                "{role} is at `{shown}`, and nobody is believed about that: set TASKLEDGER_UPSTREAM_CA to the file of its \
                 authority"
            ),
            _ => bail!("{}", not_an_address(role, &shown)),
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            bail!("{}", not_an_address(role, &shown));
        }
        let Ok(authority) = url.authority().parse::<Authority>() else {
            bail!("`{shown}` is not an address of {role}: that names no host")
        };
        Ok(Self { scheme, authority, prefix: url.path().trim_end_matches('/').to_owned() })
    }
}

fn not_an_address(role: &str, shown: &str) -> String {
    format!("`{shown}` is not an address of {role}: expected a URL such as http://localhost:8081")
}

/// The addresses of the replicas of `role`: at least one, and each of them once.
pub(super) fn addresses(role: &str, urls: &[Url], believes_somebody: bool) -> anyhow::Result<Vec<Address>> {
    ensure!(!urls.is_empty(), "{role} needs at least one address, such as http://127.0.0.1:8081");
    let addresses = urls
        .iter()
        .map(|url| Address::of(role, url, believes_somebody))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut known = HashSet::new();
    for address in &addresses {
        let authority = address.authority.as_str();
        ensure!(known.insert(authority), "{role} is listed twice at {authority}");
    }
    Ok(addresses)
}

/// Checks the addresses of all roles before anything is started that they would stop. Errors name the variable.
pub(crate) fn check_addresses(
    upstreams: [(&str, &Upstream); 4],
    believes_somebody: bool,
) -> anyhow::Result<()> {
    for (role, upstream) in upstreams {
        if let Upstream::Http(urls) = upstream {
            let variable = || format!("TASKLEDGER_{}_URL", role.replace('-', "_").to_uppercase());
            addresses(role, urls, believes_somebody).with_context(variable)?;
        }
    }
    Ok(())
}
