//! An authority that issues certificates, made for one test.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// An authority that nobody believes who was not told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate alone: the authority signs it directly.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// One with a key of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Another name for each, so that nobody takes one for another and complains of its signatures.
        let name = format!("Authority {}", runtime::new_id());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, which those are given who are to believe it.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses that is good for a day.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, Duration::from_secs(24 * 60 * 60))
    }

    /// A certificate that ends after `lifetime`.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever checks the certificate asks the machine what time it is, too"
    )]
    pub fn issue_for(&self, names: &[&str], lifetime: Duration) -> Issued {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(60 * 60)).into();
        params.not_after = (now + lifetime).into();
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
