"""What made-up requests cannot know of each other. Loaded by schemathesis; see schemathesis.toml."""

import itertools
import re
import time
import unicodedata

import requests
import schemathesis

VALID_KEY = re.compile(r"[!-~]{1,200}")
NUMBERS = itertools.count()
# How long the read models may be behind, in seconds.
PATIENCE = 60


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


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # Only the read models know what a request did. While they are behind, `503` asks to send it again. That is a failure
    # only if it is not answered then.
    is_about_status = {"not_a_server_error", "positive_data_acceptance"}.intersection(failure.checks)
    if case.operation.path == "/tasks/undo" and is_about_status and is_behind(response):
        return not is_answered_later(response.request)
    return True


def is_behind(response):
    try:
        return response.status_code == 503 and response.json()["code"] == "projection-behind"
    except (ValueError, KeyError, TypeError):
        # It is no problem of the API, but a failure.
        return False


def is_answered_later(request):
    end = time.monotonic() + PATIENCE
    with requests.Session() as session:
        while time.monotonic() < end:
            time.sleep(1)
            try:
                response = session.send(request, timeout=30)
            except requests.RequestException:
                return False
            if not is_behind(response):
                return response.status_code < 500
    return False
