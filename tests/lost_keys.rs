//! A person's key is lost when the master key is rotated: both commands notice, and what its backup needs stays.

use std::{
    fs::{self, File},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    restored_erasures::{id_of, key_of, keys, subject},
    support::{Deployment, Person, System},
};

#[tokio::test(flavor = "multi_thread")]
async fn embedded_master_key_stays_while_the_backup_of_a_lost_key_may_need_it() {
    let mut system = System::start(Deployment::Embedded).await;
    let ada = id_of(&Person::join(&system.base, "ada").await).await;
    let bob = id_of(&Person::join(&system.base, "bob").await).await;
    system.terminate_all();
    let [master_key, wrapped] = key_of(&system, &ada).await;
    let database = keys(&system).await;
    let delete = "DELETE FROM data_keys WHERE subject = $1";
    assert_eq!(database.execute(delete, &[subject(&ada)]).await.unwrap(), 1);
    database.close().await;

    let (code, said) = system.outcome(&["keys", "master", "rotate"]);
    let lost = format!("the key of {ada} is lost");
    assert!(code == 1 && said.contains(&lost) && !said.contains(&bob), "{said}");
    assert!(said.contains("wrapped again"), "{said}");
    let file = system.data_dir().join("keys/master-keys");
    // Every process has had the time to read the new key.
    let opened = File::options().append(true).open(&file).unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    opened.set_modified(long_ago).unwrap();
    let (code, said) = system.outcome(&["keys", "master", "retire"]);
    assert!(code == 1 && said.contains(&lost) && said.contains("no master key is removed"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);

    let database = keys(&system).await;
    let restore = "INSERT INTO data_keys (subject, master_key, wrapped, created_at) VALUES ($1, $2, $3, 1)";
    let values = [subject(&ada), master_key, wrapped];
    assert_eq!(database.execute(restore, &values).await.unwrap(), 1);
    database.close().await;
    for command in ["rotate", "retire"] {
        let (code, said) = system.outcome(&["keys", "master", command]);
        assert_eq!(code, 0, "{command}: {said}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    let (code, said) = system.outcome(&["restore", "check"]);
    assert!(!said.contains(&ada), "{code} {said}");
    system.stop().await;
}
