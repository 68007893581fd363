"""What made-up requests cannot know of each other. Loaded by schemathesis; see schemathesis.toml."""

import itertools
import re
import unicodedata

import schemathesis

VALID_KEY = re.compile(r"[!-~]{1,200}")
NUMBERS = itertools.count()


def fits(password):
    return isinstance(password, str) and 15 <= len(unicodedata.normalize("NFC", password)) <= 128


@schemathesis.hook
def before_call(context, case, kwargs):
    # A key stands for one request: the same key with another one is refused, as it should be.
    headers = case.headers or {}
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and VALID_KEY.fullmatch(key):
        headers["Idempotency-Key"] = f"{key}-{next(NUMBERS)}"
    # Of passwords that are long enough, one that is made up is often a pattern, which is refused, as it should be.
    if isinstance(case.body, dict):
        field = "password" if case.operation.path == "/auth/register" else "new_password"
        if fits(case.body.get(field)):
            case.body[field] = f"tractor-{next(NUMBERS)}-canyon-plum"
    # A role that asks for a second factor counts for nothing in the session of this run. An admin does without `auditor`.
    if case.operation.path == "/auth/second-factor-roles" and isinstance(case.body, dict):
        roles = case.body.get("roles")
        if isinstance(roles, list):
            case.body["roles"] = [role for role in roles if role not in ("admin", "user")]
    # A cursor is what an earlier answer gave, for the same query. One that is made up is refused, as it should be.
    query = case.query or {}
    for name in ("cursor", "since"):
        if isinstance(query.get(name), str) and query[name]:
            del query[name]
    # A task is shown as it was at one moment: two are refused, as they should be.
    if "version" in query and "as_of" in query:
        del query["as_of"]
