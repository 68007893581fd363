//! The roles that an account has where it shows a second factor, and where it does not.

use std::collections::BTreeSet;

use events::{Account, Admins, ProgramToken, Role, Session};

pub(crate) struct EffectiveRoles {
    /// The roles that need a second factor according to the setting.
    configured: BTreeSet<Role>,
}

impl EffectiveRoles {
    pub(crate) const fn new(configured: BTreeSet<Role>) -> Self {
        Self { configured }
    }

    /// The roles of the account in `session`. A role that needs a second factor is valid only where one was shown.
    pub(crate) fn in_session(&self, account: &Account, session: &Session, admins: &Admins) -> BTreeSet<Role> {
        self.valid(account, session.has_second_factor(), admins)
    }

    /// The roles of the account with a program token. A token that was made without a second factor does not replace
    /// one, and no token does once the account has given its factor up.
    pub(crate) fn of_program(
        &self,
        account: &Account,
        token: &ProgramToken,
        admins: &Admins,
    ) -> BTreeSet<Role> {
        let has_second_factor = token.second_factor && account.confirmed_second_factor().is_some();
        self.valid(account, has_second_factor, admins)
    }

    fn valid(&self, account: &Account, has_second_factor: bool, admins: &Admins) -> BTreeSet<Role> {
        let needing = self.needing_second_factor(admins);
        let roles = account.roles.iter().copied();
        roles.filter(|role| has_second_factor || !needing.contains(role)).collect()
    }

    /// The roles that need a second factor: those of the setting, and those that the admins have added.
    pub(crate) fn needing_second_factor(&self, admins: &Admins) -> BTreeSet<Role> {
        &self.configured | &admins.second_factor_roles
    }
}
