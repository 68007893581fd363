//! A backup that is made and restored as docs/operations.md says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use database::{Database, Schema};

use crate::{
    restored_erasures::launch,
    support::{Deployment, System},
};

/// The parts of a backup as files when embedded and as schemas on PostgreSQL: the log with its tree, and the roles'
/// records.
const OF_LOG: [(&str, &str); 2] = [("events.db", "event_store"), ("audit-tree.db", "audit_tree")];
const OF_RECORDS: [(&str, &str); 1] = [("operations.db", "operations")];

/// A backup from before somebody was erased.
pub(super) struct Backup {
    directory: PathBuf,
    deployment: Deployment,
}

/// Writes these schemas, or all, to a file as SQL.
pub(super) fn dump(url: &str, schemas: &[&str], file: &Path) {
    let mut command = Command::new("pg_dump");
    command.args(["--dbname", url, "--no-password", "--file"]).arg(file);
    for schema in schemas {
        command.args(["--schema", schema]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

impl Backup {
    pub(super) async fn make(system: &mut System, deployment: Deployment) -> Self {
        let backup = Self { directory: system.directory().join("backup"), deployment };
        for (directory, parts) in [(backup.of_log(), &OF_LOG[..]), (backup.of_records(), &OF_RECORDS)] {
            fs::create_dir_all(&directory).unwrap();
            match deployment {
                Deployment::Embedded => {
                    system.terminate_all();
                    for (file, _) in parts {
                        fs::copy(system.data_dir().join(file), directory.join(file)).unwrap();
                    }
                    launch(system).await;
                }
                _ => {
                    let schemas: Vec<&str> = parts.iter().map(|(_, schema)| *schema).collect();
                    dump(&system.database_url(""), &schemas, &directory.join("dump.sql"));
                }
            }
        }
        backup
    }

    pub(super) fn of_log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn of_records(&self) -> PathBuf {
        self.directory.join("records")
    }

    /// Checks that the backup does not contain this person's key, not even wrapped.
    pub(super) async fn has_no_key_of(&self, system: &System, id: &str) {
        let keys =
            Database::connect(&system.database_url("subject-keys.db"), Schema::SubjectKeys, 1).await.unwrap();
        let sql = "SELECT wrapped FROM data_keys WHERE subject = $1";
        let subject = id.parse::<uuid::Uuid>().unwrap().into();
        let row = keys.fetch_optional(sql, &[subject]).await.unwrap().unwrap();
        let wrapped = row.optional_bytes(0).unwrap().unwrap();
        assert!(wrapped.len() >= 32);
        let hexadecimal: String = wrapped.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = [hexadecimal.into_bytes(), STANDARD.encode(&wrapped).into(), wrapped];
        let mut files = 0;
        for directory in [self.of_log(), self.of_records()] {
            for file in fs::read_dir(directory).unwrap() {
                let bytes = fs::read(file.unwrap().path()).unwrap();
                files += 1;
                for form in &forms {
                    assert!(!bytes.windows(form.len()).any(|it| it == form), "the key is in the backup");
                }
            }
        }
        assert!(files >= 2);
    }

    /// Restores the backup while nothing runs.
    pub(super) async fn restore(&self, system: &System) {
        let parts = [(self.of_log(), &OF_LOG[..]), (self.of_records(), &OF_RECORDS)];
        for (directory, parts) in parts {
            if self.deployment != Deployment::Embedded {
                for (_, schema) in parts {
                    psql(system, &["--command", &format!("DROP SCHEMA {schema} CASCADE")]);
                }
                psql(system, &["--file", directory.join("dump.sql").to_str().unwrap()]);
                continue;
            }
            for (file, _) in parts {
                let place = system.data_dir().join(file);
                for of_the_one_before in ["-wal", "-shm"] {
                    let _ = fs::remove_file(format!("{}{of_the_one_before}", place.display()));
                }
                fs::copy(directory.join(file), place).unwrap();
            }
        }
    }
}

fn psql(system: &System, arguments: &[&str]) {
    let output = Command::new("psql")
        .args(["--dbname", &system.database_url(""), "--no-password", "--quiet"])
        .args(["--set", "ON_ERROR_STOP=1"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
