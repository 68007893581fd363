//! Values that the document shows of accounts, sessions and tokens.

use events::{Role, Scope, SessionId, TokenId};
use uuid::Uuid;

use super::examples::{CREATED, MFA_TOKEN, USER};
use crate::{
    AdminAct, ChangePassword, ConfirmTotp, CreateProgramToken, EnrollTotp, EraseMe, Jwk, Jwks, Login,
    ManagedUser, ManagedUsers, NewProgramToken, OfferReset, OfferedReset, ProgramToken, ProgramTokens,
    Refresh, Register, RemoveTotp, Rename, ResetPassword, SecondFactorLogin, SecondFactorRoles, Session,
    Sessions, SetRoles, TokenType, Tokens, TotpEnrolment, User, UserBody,
};

const SESSION: SessionId = SessionId(Uuid::from_u128(0x01a204f4_51f3_7d32_9c1a_4c1de3a5b1f0));
const PROGRAM_TOKEN: TokenId = TokenId(Uuid::from_u128(0x01a204f4_51f3_7d32_9c1a_4c1de3a5b1f1));
const RESET_TOKEN: &str = "AaIE9FHRdPG6g1eyteS9TRs0Nj6w";
const PASSWORD: &str = "correct horse battery";

pub(super) fn user() -> User {
    User {
        id: USER,
        email: "ada@example.org".to_owned(),
        display_name: Some("Ada".to_owned()),
        roles: [Role::User].into(),
        created_at: CREATED,
    }
}

pub(super) fn user_body() -> UserBody {
    UserBody { user: user() }
}

pub(super) fn register() -> Register {
    Register {
        email: user().email,
        password: PASSWORD.to_owned(),
        display_name: user().display_name,
    }
}

pub(super) fn rename() -> Rename {
    Rename {
        display_name: Some("Ada L.".to_owned()),
    }
}

pub(super) fn change_password() -> ChangePassword {
    ChangePassword {
        current_password: PASSWORD.to_owned(),
        new_password: "plum tractor canyon".to_owned(),
    }
}

pub(super) fn login() -> Login {
    Login {
        email: user().email,
        password: PASSWORD.to_owned(),
    }
}

pub(super) fn second_factor_login() -> SecondFactorLogin {
    SecondFactorLogin {
        mfa_token: MFA_TOKEN.to_owned(),
        code: "287082".to_owned(),
    }
}

pub(super) fn enroll_totp() -> EnrollTotp {
    EnrollTotp {
        password: PASSWORD.to_owned(),
    }
}

pub(super) fn totp_enrolment() -> TotpEnrolment {
    TotpEnrolment {
        secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
        otpauth_uri: "otpauth://totp/Taskledger:ada%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
            &issuer=Taskledger&algorithm=SHA1&digits=6&period=30"
            .to_owned(),
        recovery_codes: vec!["MFRG-GZDF-MZTW-Q2LK-NNWG-23TP".to_owned()],
    }
}

pub(super) fn confirm_totp() -> ConfirmTotp {
    ConfirmTotp {
        code: "287082".to_owned(),
    }
}

pub(super) fn remove_totp() -> RemoveTotp {
    RemoveTotp {
        password: PASSWORD.to_owned(),
        code: "287082".to_owned(),
    }
}

pub(super) fn erase_me() -> EraseMe {
    EraseMe {
        password: PASSWORD.to_owned(),
        code: None,
    }
}

pub(super) fn offer_reset() -> OfferReset {
    OfferReset {
        remove_second_factor: Some(false),
        reason: Some("Ticket 4711".to_owned()),
    }
}

pub(super) fn admin_act() -> AdminAct {
    AdminAct {
        reason: Some("Ticket 4711".to_owned()),
    }
}

pub(super) fn offered_reset() -> OfferedReset {
    OfferedReset {
        reset_token: RESET_TOKEN.to_owned(),
        expires_at: CREATED.plus_seconds(3_600),
    }
}

pub(super) fn reset_password() -> ResetPassword {
    ResetPassword {
        reset_token: RESET_TOKEN.to_owned(),
        new_password: change_password().new_password,
    }
}

pub(super) fn refresh() -> Refresh {
    Refresh {
        refresh_token: tokens().refresh_token,
    }
}

pub(super) fn tokens() -> Tokens {
    Tokens {
        access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl".to_owned(),
        token_type: TokenType::Bearer,
        expires_in: 900,
        refresh_token: "AaIE9FHzfTKcGkwd46Wx8AAAAAAAAAAA".to_owned(),
        refresh_expires_in: 604_800,
        user: user(),
    }
}

pub(super) fn sessions() -> Sessions {
    let session = Session {
        id: SESSION,
        started_at: CREATED,
        last_refreshed_at: CREATED,
        expires_at: CREATED.plus_seconds(604_800),
        ip: Some("192.0.2.7".to_owned()),
        user_agent: Some("curl/8.5.0".to_owned()),
        current: true,
    };
    Sessions { items: vec![session] }
}

pub(super) fn create_program_token() -> CreateProgramToken {
    let token = program_token();
    CreateProgramToken {
        name: token.name,
        scopes: token.scopes.into_iter().collect(),
        expires_at: token.expires_at,
    }
}

pub(super) fn new_program_token() -> NewProgramToken {
    NewProgramToken {
        token: "taskledger_pat_AaIE9FHRdPG6g1eyteS9TQGiBPRR".to_owned(),
        about: program_token(),
    }
}

pub(super) fn program_tokens() -> ProgramTokens {
    let used = ProgramToken {
        last_used_at: Some(CREATED.plus_seconds(3_600)),
        ..program_token()
    };
    ProgramTokens { items: vec![used] }
}

fn program_token() -> ProgramToken {
    ProgramToken {
        id: PROGRAM_TOKEN,
        name: "Backup".to_owned(),
        scopes: [Scope::TasksRead].into(),
        created_at: CREATED,
        expires_at: Some(CREATED.plus_seconds(90 * 86_400)),
        last_used_at: None,
    }
}

pub(super) fn managed_users() -> ManagedUsers {
    let managed = ManagedUser {
        user: user(),
        disabled: false,
    };
    ManagedUsers {
        items: vec![managed],
        next_cursor: None,
    }
}

pub(super) fn second_factor_roles() -> SecondFactorRoles {
    SecondFactorRoles {
        roles: vec![Role::Auditor],
    }
}

pub(super) fn set_roles() -> SetRoles {
    SetRoles {
        roles: vec![Role::User, Role::Auditor],
        reason: Some("Ticket 4711".to_owned()),
    }
}

pub(super) fn jwks() -> Jwks {
    let key = Jwk::ed25519(
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
    );
    Jwks { keys: vec![key] }
}
