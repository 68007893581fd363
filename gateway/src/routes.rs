//! The public paths and their roles. Clients cannot reach other paths.

use http::Method;

use crate::target::Target;

/// A path of the query API only.
const READ_ONLY: Target = Target::Split { commands: &[], allow: "GET, HEAD" };

/// The routes by path. To add a public path, add a line.
pub(crate) const ROUTES: &[(&str, Target)] = &[
    ("/.well-known/jwks.json", Target::Auth),
    ("/audit/checkpoint", READ_ONLY),
    ("/audit/consistency", READ_ONLY),
    ("/audit/events", READ_ONLY),
    ("/audit/export", READ_ONLY),
    ("/audit/proof", READ_ONLY),
    ("/audit/tile/{*path}", READ_ONLY),
    ("/auth/login", Target::Auth),
    ("/auth/login/second-factor", Target::Auth),
    ("/auth/logout", Target::Auth),
    ("/auth/logout-all", Target::Auth),
    ("/auth/me", Target::Auth),
    ("/auth/me/password", Target::Auth),
    ("/auth/me/totp", Target::Auth),
    ("/auth/me/totp/confirm", Target::Auth),
    ("/auth/refresh", Target::Auth),
    ("/auth/register", Target::Auth),
    ("/auth/reset", Target::Auth),
    ("/auth/second-factor-roles", Target::Auth),
    ("/auth/sessions", Target::Auth),
    ("/auth/sessions/{id}", Target::Auth),
    ("/auth/tokens", Target::Auth),
    ("/auth/tokens/{id}", Target::Auth),
    ("/auth/users", Target::Auth),
    ("/auth/users/{id}/disable", Target::Auth),
    ("/auth/users/{id}/enable", Target::Auth),
    ("/auth/users/{id}/reset", Target::Auth),
    ("/auth/users/{id}/roles", Target::Auth),
    ("/auth/users/{id}/tokens", Target::Auth),
    ("/tasks", Target::Split { commands: &[Method::POST], allow: "GET, HEAD, POST" }),
    ("/tasks/batch", Target::Commands),
    ("/tasks/changes", READ_ONLY),
    ("/tasks/events", READ_ONLY),
    ("/tasks/summary", READ_ONLY),
    ("/tasks/undo", Target::Commands),
    (
        "/tasks/{id}",
        Target::Split { commands: &[Method::PATCH, Method::DELETE], allow: "DELETE, GET, HEAD, PATCH" },
    ),
    ("/tasks/{id}/cancel", Target::Commands),
    ("/tasks/{id}/complete", Target::Commands),
    ("/tasks/{id}/history", READ_ONLY),
    ("/tasks/{id}/reopen", Target::Commands),
    ("/tasks/{id}/restore", Target::Commands),
    ("/tasks/{id}/revert", Target::Commands),
    ("/tasks/{id}/start", Target::Commands),
];

/// Every public path.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|(path, _)| *path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use api_types::openapi;

    use super::*;

    /// The paths that the gateway itself answers.
    const OWN: [&str; 4] = ["/health/live", "/health/ready", "/openapi.json", "/docs"];

    /// The path as OpenAPI writes it, which has no parameters of several segments.
    fn in_openapi(path: &str) -> String {
        path.replace("{*", "{")
    }

    #[test]
    fn the_public_paths_are_those_of_the_contract() {
        let documented: BTreeSet<String> = openapi::operations().into_iter().map(|(_, path)| path).collect();
        let served = ROUTES.iter().map(|(path, _)| *path).chain(OWN);
        assert_eq!(documented, served.map(in_openapi).collect());
    }

    #[test]
    fn the_allowed_methods_of_a_split_path_are_those_of_the_contract() {
        for (path, target) in ROUTES {
            let Target::Split { allow, .. } = target else {
                continue;
            };
            let documented =
                openapi::operations().into_iter().filter(|(_, known)| *known == in_openapi(path));
            let mut methods: BTreeSet<String> = documented.map(|(method, _)| method).collect();
            methods.insert("HEAD".to_owned());
            assert_eq!(*allow, methods.into_iter().collect::<Vec<_>>().join(", "), "{path}");
        }
    }

    #[test]
    fn the_allowed_methods_of_a_split_path_are_those_of_both_roles() {
        for (path, target) in ROUTES {
            let Target::Split { commands, allow } = target else {
                continue;
            };
            let both: BTreeSet<&str> = commands.iter().map(Method::as_str).chain(["GET", "HEAD"]).collect();
            assert_eq!(*allow, both.into_iter().collect::<Vec<_>>().join(", "), "{path}");
        }
    }
}
