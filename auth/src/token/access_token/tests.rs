//! An access token is accepted only if every part of it is right.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{Aggregate as _, AuthenticationMethod, SessionId, SessionStarted};
use jsonwebtoken::{Algorithm, EncodingKey, decode_header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::keys::{SigningAlgorithm, SigningKey};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_500_000);

fn pem() -> String {
    SigningKey::generate(SigningAlgorithm::EdDsa).unwrap().to_string()
}

fn tokens(pems: &[&str], issuer: &str, audience: &str) -> AccessTokens {
    let keys = pems.iter().map(|pem| SigningKey::from_pem(pem).unwrap()).collect();
    let ttl = Duration::from_secs(900);
    AccessTokens::new(Keyring::new(keys).unwrap(), issuer.into(), audience.into(), ttl)
}

fn owner() -> Owner {
    Owner {
        id: UserId(Uuid::from_u128(1)),
        email: "ada@example.com".into(),
        roles: BTreeSet::from([Role::User]),
    }
}

fn session(seconds: i64) -> Session {
    let started = SessionStarted {
        account: owner().id,
        refresh_hash: events::SecretHash::default(),
        expires_at: NOW.plus_seconds(seconds),
        ip: None,
        user_agent: None,
        methods: [AuthenticationMethod::Pwd, AuthenticationMethod::Otp].into(),
        idle_seconds: None,
    };
    Session::evolve(None, &SessionId(Uuid::from_u128(2)), &started.into(), 1, NOW).unwrap()
}

fn issue(tokens: &AccessTokens) -> String {
    let id = Uuid::from_u128(3);
    tokens.issue(&owner(), &session(604_800), NOW, id).unwrap().token
}

/// Signs any header and claims.
fn forge(header: &Value, claims: &Value, pem: &str) -> String {
    forge_with(header, claims, pem, "EdDSA")
}

fn forge_with(header: &Value, claims: &Value, pem: &str, alg: &str) -> String {
    let encode = |value: &Value| BASE64URL.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = SigningKey::from_pem(pem).unwrap().encoding;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg.parse().unwrap()).unwrap();
    format!("{message}.{signature}")
}

fn good_claims() -> Value {
    let user = Uuid::from_u128(1).to_string();
    json!({
        "iss": "taskledger", "aud": "api", "sub": user, "email": "ada@example.com", "roles": ["user"],
        "sid": Uuid::from_u128(2).to_string(), "jti": Uuid::from_u128(3).to_string(),
        "iat": NOW.as_seconds(), "exp": NOW.as_seconds() + 900, "client_id": "taskledger",
        "amr": ["pwd", "otp"], "auth_time": NOW.as_seconds(),
    })
}

#[test]
fn what_it_issues_it_verifies_until_it_expires() {
    let pem = pem();
    let tokens = tokens(&[&pem], "taskledger", "api");
    let token = issue(&tokens);
    let claims = tokens.verify(&token, NOW).unwrap();
    assert_eq!(serde_json::to_value(&claims).unwrap(), good_claims());
    assert!(tokens.verify(&token, NOW.plus_seconds(899)).is_ok());
    assert_eq!(tokens.verify(&token, NOW.plus_seconds(900)), Err(Rejection::Expired));
    let header = decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
    assert_eq!(header.kid.unwrap(), SigningKey::from_pem(&pem).unwrap().kid);
}

#[test]
fn a_token_never_outlives_its_session() {
    let tokens = tokens(&[&pem()], "taskledger", "api");
    let issued = tokens.issue(&owner(), &session(60), NOW, Uuid::from_u128(3)).unwrap();
    assert_eq!(issued.expires_in, 60);
    assert_eq!(tokens.verify(&issued.token, NOW.plus_seconds(60)), Err(Rejection::Expired));
}

#[test]
fn older_keys_verify_and_unknown_ones_do_not() {
    let (old, new, other) = (pem(), pem(), pem());
    let token = issue(&tokens(&[&old], "taskledger", "api"));
    assert!(tokens(&[&old, &new], "taskledger", "api").verify(&token, NOW).is_ok());
    let refused = tokens(&[&new, &other], "taskledger", "api").verify(&token, NOW);
    assert_eq!(refused, Err(Rejection::Malformed));
}

#[test]
fn another_issuer_or_audience_is_refused() {
    let pem = pem();
    let token = issue(&tokens(&[&pem], "taskledger", "api"));
    for (issuer, audience) in [("other", "api"), ("taskledger", "other")] {
        let verdict = tokens(&[&pem], issuer, audience).verify(&token, NOW);
        assert_eq!(verdict, Err(Rejection::Malformed));
    }
}

#[test]
fn forged_headers_and_claims_are_refused() {
    let pem = pem();
    let tokens = tokens(&[&pem], "taskledger", "api");
    let kid = SigningKey::from_pem(&pem).unwrap().kid;
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    assert!(tokens.verify(&forge(&header, &good_claims(), &pem), NOW).is_ok(), "the forge works");

    let with = |mut base: Value, name: &str, value: Value| {
        base[name] = value;
        base
    };
    let without = |mut base: Value, name: &str| {
        base.as_object_mut().unwrap().remove(name);
        base
    };
    for header in [
        with(header.clone(), "alg", json!("none")),
        with(header.clone(), "alg", json!("HS256")),
        with(header.clone(), "typ", json!("JWT")),
        with(header.clone(), "crit", json!(["x"])),
        with(header.clone(), "jku", json!("https://example.com/keys")),
        with(header.clone(), "jwk", json!({})),
        with(header.clone(), "x5u", json!("https://example.com/chain")),
        with(header.clone(), "x5c", json!([])),
        with(header.clone(), "b64", json!(false)),
        with(header.clone(), "zip", json!("DEF")),
        with(header.clone(), "kid", json!("other")),
        without(header.clone(), "kid"),
    ] {
        let token = forge(&header, &good_claims(), &pem);
        assert_eq!(tokens.verify(&token, NOW), Err(Rejection::Malformed), "{header}");
    }
    for name in ["iss", "aud", "sub", "sid", "exp", "iat", "jti", "email", "roles"] {
        let token = forge(&header, &without(good_claims(), name), &pem);
        assert_eq!(tokens.verify(&token, NOW), Err(Rejection::Malformed), "without {name}");
    }
    let later = NOW.as_seconds() + 60;
    for (name, value) in [("nbf", json!(later)), ("iat", json!(later)), ("sub", json!("nobody"))] {
        let token = forge(&header, &with(good_claims(), name, value), &pem);
        assert_eq!(tokens.verify(&token, NOW), Err(Rejection::Malformed), "{name}");
    }
}

#[test]
fn each_key_verifies_its_own_algorithm_only() {
    let pems = [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256]
        .map(|algorithm| SigningKey::generate(algorithm).unwrap().to_string());
    let [eddsa, es256] = &pems;
    let both = tokens(&[eddsa, es256], "taskledger", "api");
    let token = issue(&both);
    assert_eq!(decode_header(&token).unwrap().alg, Algorithm::ES256);
    assert!(both.verify(&token, NOW).is_ok());
    assert!(both.verify(&issue(&tokens(&[eddsa], "taskledger", "api")), NOW).is_ok());
    let kid = |pem: &str| SigningKey::from_pem(pem).unwrap().kid;
    for (kid, alg) in [(kid(eddsa), "ES256"), (kid(es256), "EdDSA")] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": kid});
        let signer = if alg == "EdDSA" { eddsa } else { es256 };
        let token = forge_with(&header, &good_claims(), signer, alg);
        assert_eq!(both.verify(&token, NOW), Err(Rejection::Malformed), "{alg}");
    }
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let pem = pem();
    let tokens = tokens(&[&pem], "taskledger", "api");
    let jwk = serde_json::to_value(&tokens.keyring().jwks().keys[0]).unwrap();
    let public = BASE64URL.decode(jwk["x"].as_str().unwrap()).unwrap();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".into());
    header.kid = jwk["kid"].as_str().map(str::to_owned);
    let token = encode(&header, &good_claims(), &EncodingKey::from_secret(&public)).unwrap();
    assert_eq!(tokens.verify(&token, NOW), Err(Rejection::Malformed));
}

proptest! {
    #[test]
    fn verifying_is_total(token in "\\PC{0,200}") {
        let tokens = tokens(&[&pem()], "taskledger", "api");
        prop_assert_eq!(tokens.verify(&token, NOW), Err(Rejection::Malformed));
    }
}
