"""Payloads: values of users to stored bytes and back, and exceptions to failures and back."""

from __future__ import annotations

from wfactors.convert.codecs import Codec, GzipCodec, ZlibCodec
from wfactors.convert.converter import CattrsConverter, Converter
from wfactors.convert.encryption import EncryptionCodec
from wfactors.convert.port import DataPort
from wfactors.convert.signature import CallSignature, Parameter

__all__ = [
    "CallSignature",
    "CattrsConverter",
    "Codec",
    "Converter",
    "DataPort",
    "EncryptionCodec",
    "GzipCodec",
    "Parameter",
    "ZlibCodec",
]
