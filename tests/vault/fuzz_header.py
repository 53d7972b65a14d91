"""For atheris (the extra `fuzz`): python tests/vault/fuzz_header.py -max_total_time=600 FOLDER (it writes there what it finds new)"""

import sys

import atheris

with atheris.instrument_imports(include=["orchestrator_nb.vault"]):
    from orchestrator_nb.errors import VaultFormatError
    from orchestrator_nb.vault.format import read_header


def once(data):
    for tried in (data, b"ONBVAULT\x01" + data, padded(data)):
        try:
            header = read_header(tried)
        except VaultFormatError:
            continue
        assert header.bound() == tried[:96]


def padded(data):
    """With lengths that agree, so that the fuzzer gets to the parameters at once."""
    head = (b"ONBVAULT\x01" + data)[:92].ljust(92, b"\0")
    return head + (1040).to_bytes(4) + bytes(32 + 1040)


atheris.Setup(sys.argv, once)
atheris.Fuzz()
