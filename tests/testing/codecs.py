"""A codec with a key of its own."""

from __future__ import annotations

import wfactors as wf


def secret() -> wf.EncryptionCodec:
    return wf.EncryptionCodec(wf.EncryptionCodec.generate_key())
