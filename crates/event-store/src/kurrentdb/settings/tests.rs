//! Connection strings, right and wrong.

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
        ("kdb+discover://a.b-c?tls=False", vec!["a.b-c:2113"], true),
        ("kurrent://u:p,w@a:1,b:2/?tls=false", vec!["a:1", "b:2"], true),
        ("esdb://[::1]:5,[fe80::2]?tls=false", vec!["[::1]:5", "[fe80::2]:2113"], true),
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
        "esdb://admin:s3cret@:5?tls=false",
        "esdb://admin:s3cret@one,,two?tls=false",
        "esdb://admin:s3cret@host:70000?tls=false",
        "esdb://admin:s3cret@host#fragment",
        "esdb://admin:s3cret@host?nodePreference=nobody",
        "esdb://admin:s3cret@host?userCertFile=/nowhere/user.pem",
        "esdb+cluster://admin:s3cret@host?tls=false",
    ] {
        let error = Settings::parse(url).map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
        assert!(error.contains("admin:***@"), "{error}");
    }
}

/// A question mark in a password ends it, and the rest cannot be recognised as part of it.
#[test]
fn no_part_of_a_password_is_said_when_its_end_is_not_known() {
    for url in ["esdb://admin:s3?cret@host", "esdb://admin:5?s3=cret@host&tls=false"] {
        let error = Settings::parse(url).map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains("s3") && !error.contains("cret"), "{error}");
        assert!(error.contains("%40"), "{error}");
    }
}
