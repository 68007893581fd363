//! The second factor of an account, and logins that need it.

use serde_json::json;

use super::{
    accounts::{TAG, own},
    endpoint::{Builder, TOKEN, endpoint},
    examples::{CODE, MFA_TOKEN, PASSWORD, tokens},
};
use crate::{ConfirmTotp, EnrollTotp, ProblemCode::*, RemoveTotp, SecondFactorLogin, Tokens, TotpEnrolment};

pub(super) fn endpoints() -> Vec<Builder> {
    let enrolment = json!({
        "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "otpauth_uri": "otpauth://totp/Taskledger:ada%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
            &issuer=Taskledger&algorithm=SHA1&digits=6&period=30",
        "recovery_codes": [
            "MFRG-GZDF-MZTW-Q2LK-NNWG-23TP",
            "UCNY-6HHU-Z2XN-EA66-XA45-2IC5",
            "EKFU-RJLN-XQXM-6EBZ-GIT2-ZHE5",
            "L6YW-PHQI-M5AF-TNZO-E4OY-SAWB",
            "ZLV2-MERG-HSQD-4NCS-RZ7R-IKJT",
            "LZ53-LOGR-VI4H-LRH7-X4SU-IM55",
            "BQME-FBLL-KBNI-ZR6E-LY2D-SSLX",
            "7AWG-JDPS-7MQQ-6IC3-7PV7-76NF",
            "BXVZ-3WHO-TS4S-T4VM-NQ7L-3LL4",
            "RHQT-VOZA-VEMZ-HUKG-XPIR-CP2U",
        ],
    });
    vec![
        endpoint("POST /auth/login/second-factor", TAG)
            .named("loginWithSecondFactor", "Go on with a login that needs a code")
            .without_entity_tag(&TOKEN)
            .about("After five wrong codes in a row the next one has to wait, each time longer.")
            .body::<SecondFactorLogin>(json!({"mfa_token": MFA_TOKEN, "code": CODE}))
            .answer::<Tokens>(200, "The tokens of the new session.", &TOKEN, tokens())
            .problems(&[BadCredentials, TokenInvalid, AccountDisabled, Unavailable]),
        own("POST /auth/me/totp")
            .named("enrollTotp", "Set a second factor up")
            .about("It counts once it is confirmed. Everything in the answer is shown this once.")
            .body::<EnrollTotp>(json!({"password": PASSWORD}))
            .answer::<TotpEnrolment>(200, "The new second factor.", &TOKEN, enrolment)
            .problems(&[BadCredentials, SecondFactorExists]),
        own("POST /auth/me/totp/confirm")
            .named("confirmTotp", "Put the second factor into force")
            .body::<ConfirmTotp>(json!({"code": CODE}))
            .nothing(204, "Logins need a code from now on.", &TOKEN)
            .problems(&[BadCredentials, SecondFactorExists]),
        own("DELETE /auth/me/totp")
            .named("removeTotp", "Give the second factor up")
            .body::<RemoveTotp>(json!({"password": PASSWORD, "code": CODE}))
            .nothing(204, "Logins need no code any more.", &TOKEN)
            .problems(&[BadCredentials]),
    ]
}
