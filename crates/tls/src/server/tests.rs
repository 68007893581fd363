//! Certificates are read, refused and read again.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use test_support::{Authority, Issued, make_pipe, open_pipe};

use super::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn with(issued: &Issued) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        directory.put(issued);
        directory
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.0.path().join("certificate.pem"), key: self.0.path().join("key.pem") }
    }

    fn put(&self, issued: &Issued) {
        let files = self.files();
        fs::write(&files.certificate, &issued.certificate).unwrap();
        fs::write(&files.key, &issued.key).unwrap();
        set_mode(&files.key, 0o600);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn issued() -> Issued {
    Authority::new().issue(&["localhost"])
}

#[test]
fn a_key_that_others_can_read_is_refused_and_so_is_one_of_another_certificate() {
    let directory = Directory::with(&issued());
    let files = directory.files();
    let tls = ServerTls::load(files.clone()).unwrap();
    assert_eq!(tls.current().alpn_protocols, [b"http/1.1"]);
    let refused = || ServerTls::load(files.clone()).unwrap_err().to_string();
    set_mode(&files.key, 0o640);
    assert!(refused().contains("chmod 600"), "{}", refused());
    set_mode(&files.key, 0o600);
    fs::write(&files.key, issued().key).unwrap();
    assert!(refused().contains("cannot be used together"), "{}", refused());
    fs::write(&files.key, "no key").unwrap();
    assert!(refused().contains("holds no private key"), "{}", refused());
    fs::write(&files.certificate, "no certificate").unwrap();
    assert!(refused().contains("holds no certificate"), "{}", refused());
    fs::remove_file(&files.certificate).unwrap();
    assert!(refused().contains("cannot read"), "{}", refused());
}

#[test]
fn what_changes_is_used_once_it_has_settled_and_what_is_broken_never() {
    let directory = Directory::with(&issued());
    let tls = ServerTls::load(directory.files()).unwrap();
    let first = tls.current();
    tls.look();
    assert!(Arc::ptr_eq(&first, &tls.current()), "nothing has changed");

    let next = issued();
    fs::write(directory.files().certificate, &next.certificate).unwrap();
    tls.look();
    // The key comes a moment later.
    directory.put(&next);
    tls.look();
    assert!(Arc::ptr_eq(&first, &tls.current()), "it still changes");
    assert_eq!(tls.0.gauges.refused.get(), 0);
    tls.look();
    let second = tls.current();
    assert!(!Arc::ptr_eq(&first, &second));

    fs::write(directory.files().key, "half a k").unwrap();
    tls.look();
    tls.look();
    assert!(Arc::ptr_eq(&second, &tls.current()), "broken");
    assert_eq!(tls.0.gauges.refused.get(), 1);
    directory.put(&issued());
    tls.reload();
    assert!(!Arc::ptr_eq(&second, &tls.current()), "asked for, so at once");
    assert_eq!(tls.0.gauges.refused.get(), 0);
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_keeps_no_thread_of_the_runtime() {
    let directory = Directory::with(&issued());
    let files = directory.files();
    let tls = ServerTls::load(files.clone()).unwrap();
    fs::remove_file(&files.certificate).unwrap();
    make_pipe(&files.certificate);
    let reads = BlockingCalls::new(1, Duration::from_millis(50));
    assert_eq!(tls.run(&reads, ServerTls::look).await, Err(NoAnswer));
    assert_eq!(tls.run(&reads, ServerTls::reload).await, Err(NoAnswer));
    // Lets the call end.
    drop(open_pipe(&files.certificate));
}
