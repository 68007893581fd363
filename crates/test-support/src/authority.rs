//! An authority that issues certificates, made for one test.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// A certificate authority that only a test trusts.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, which the authority signed directly.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// Creates an authority with its own key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A different name for each, so that one is not mistaken for another.
        let name = format!("Authority {}", runtime::new_id());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, for clients that trust it.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Issues a certificate for these names and addresses, valid for a day.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, Duration::from_secs(24 * 60 * 60))
    }

    /// Issues a certificate that expires after `lifetime`.
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
        Issued { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
