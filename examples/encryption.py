"""Encrypted payloads: the store, its backups and its administrators see ciphertext only.

Codecs transform payloads on their way to the store and back: compress first, then encrypt. Arguments, results, signals
and the texts of failures go through them; names of workflows, ids, times and search attributes stay readable. A key is
changed by giving the new one, with the old one in ``old_keys`` until nothing in the store needs it.

Needs the extra ``crypto``.

Prints::

    receipt for card 4242-4242
    stored in the clear: True
    receipt for card 4242-4242
    stored encrypted: False
    read with the next key: receipt for card 4242-4242
    read without a key: CodecError
"""

import tempfile
from pathlib import Path

import trio

import wfactors as wf

CARD = "4242-4242"


@wf.activity
async def charge(card: str) -> str:
    return f"receipt for card {card}"


@wf.workflow
async def checkout(card: str) -> str:
    return await charge(card)


async def check_out(file: Path, *codecs: wf.Codec) -> bool:
    """Run a workflow on a file; whether the card can be read in it."""
    async with wf.open_engine(f"sqlite:///{file}", register=[checkout, charge], codecs=codecs) as engine:
        print(await engine.run(checkout, CARD, id="order-1"))
    return any(CARD.encode() in part.read_bytes() for part in file.parent.glob(f"{file.name}*"))


async def main() -> None:
    key, next_key = (wf.EncryptionCodec.generate_key() for _ in range(2))  # keep them in a vault
    with tempfile.TemporaryDirectory() as folder:
        print("stored in the clear:", await check_out(Path(folder) / "clear.db"))
        file = Path(folder) / "secret.db"
        print("stored encrypted:", await check_out(file, wf.ZlibCodec(), wf.EncryptionCodec(key, key_id="2031")))

        rotated = wf.EncryptionCodec(next_key, key_id="2032", old_keys={"2031": key})
        async with wf.open_client(f"sqlite:///{file}", codecs=[wf.ZlibCodec(), rotated]) as client:
            print("read with the next key:", await (await client.get("order-1")).result())
        async with wf.open_client(f"sqlite:///{file}") as client:
            try:
                await (await client.get("order-1")).result()
            except wf.CodecError as error:
                print(f"read without a key: {type(error).__name__}")


if __name__ == "__main__":
    trio.run(main)
