"""Checks witnesses and cosignatures with code that shares no line with Taskledger (aics-tlog and aics-witness, from PyPI).

    check.py cosigned <log's key> <base URL of /audit> <witness's key>
        The checkpoint that the log shows is signed by the log and cosigned by the witness.
    check.py drive <log's key> <base URL of /audit> <witness's key> <URL of the witness> <file>
        Has the witness cosign the checkpoint that the log shows, from what it cosigned last, which is remembered in the file, and
        has it refuse what it must.
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

from aics_tlog import parse_checkpoint, parse_note, parse_vkey, verify_cosignature, verify_note
from aics_witness.feeder import WitnessClient, WitnessRejected, merge_cosignatures


def main():
    what, log_key, base, witness_key, *rest = sys.argv[1:]
    log_key, witness_key = parse_vkey(log_key), parse_vkey(witness_key)
    with urllib.request.urlopen(base + "/checkpoint") as answer:
        note = answer.read()
    if not verify_note(parse_note(note), [log_key]):
        sys.exit("the log has not signed its checkpoint")
    checkpoint = parse_checkpoint(parse_note(note).text)
    if what == "drive":
        note = drive(base, note, witness_key, *rest)
    require_cosigned(note, witness_key)
    print(f"cosigned by {witness_key.name}: {checkpoint.size} events of {checkpoint.origin}")


def require_cosigned(note, key):
    note = parse_note(note)
    checkpoint = parse_checkpoint(note.text)
    lines = [line for line in note.signatures if (line.name, line.key_id) == (key.name, key.key_id)]
    if len(lines) != 1:
        sys.exit(f"{len(lines)} cosignatures are of {key.name}")

    def is_good(blob, size=checkpoint.size):
        return verify_cosignature(blob, key.name, key.public_key, checkpoint.origin, size, checkpoint.root, max_age_seconds=600)

    blob = lines[0].signature
    if not is_good(blob):
        sys.exit("the cosignature is wrong")
    # Neither another time nor another size is what was signed.
    later = (int.from_bytes(blob[:8], "big") + 1).to_bytes(8, "big") + blob[8:]
    if is_good(later) or is_good(blob, checkpoint.size + 1):
        sys.exit("the cosignature is good for anything")


def drive(base, note, key, url, file):
    def proof(old, new):
        with urllib.request.urlopen(f"{base}/consistency?from={old}&to={new}") as answer:
            return [base64.b64decode(line) for line in json.load(answer)["consistency"]]

    state = Path(file)
    before = json.loads(state.read_text())["logs"] if state.exists() else {}
    with WitnessClient(url, key, state_path=file) as client:
        note = merge_cosignatures(note, client.submit(note, proof))
        if before and not list(before.values())[0]["max_cosigned"] < parse_checkpoint(parse_note(note).text).size:
            sys.exit("the log has not grown since the last time")
        # What the log has not signed is refused.
        forged = note.decode().split("\n")
        forged[2] = base64.b64encode(bytes(32)).decode()
        try:
            client.submit("\n".join(forged), proof)
        except WitnessRejected as refused:
            if refused.status != 403:
                sys.exit(f"a forged checkpoint was refused with {refused.status}")
        else:
            sys.exit("a forged checkpoint was cosigned")
    return note


if __name__ == "__main__":
    main()
