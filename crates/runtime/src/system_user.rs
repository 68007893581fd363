//! The user who runs this process, according to the operating system.

use std::{env, fs};

use rustix::process::getuid;

/// The name of the user who runs this process, or who called `sudo`. A user without a name, as in a container, is
/// `uid 10001`.
pub fn system_user() -> String {
    let uid = getuid().as_raw();
    let sudo_user = env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    sudo_user.or_else(|| name_of(uid, &users)).unwrap_or_else(|| format!("uid {uid}"))
}

/// The name of the user with this number in a file of the form of `passwd(5)`.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?;
        (number == uid.to_string()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_or_numbers() {
        let users = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\nbroken\n:x:7:\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("ada"));
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(7, users), None);
        assert_eq!(name_of(100, users), None);
        assert!(!system_user().is_empty());
    }
}
