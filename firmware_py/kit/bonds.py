"""The secrets of bonded Bluetooth peers, kept in NVS: the radio asks for them, and hands new ones over."""

import esp32

_KEY = "bonds"
MAX_BYTES = 1024
"""About four peers; more are refused, so that nobody can fill the flash."""


class Bonds:
    """What the radio's IRQ_GET_SECRET and IRQ_SET_SECRET want. A secret is known by its type and key."""

    def __init__(self, nvs: esp32.NVS) -> None:
        self._nvs = nvs
        self._secrets: list[tuple[int, bytes, bytes]] = []
        blob = bytearray(MAX_BYTES)
        try:
            length = nvs.get_blob(_KEY, blob)
        except OSError:  # none were ever kept
            return
        at = 0
        while at + 3 <= length:
            kind, key_length, value_length = blob[at], blob[at + 1], blob[at + 2]
            key = bytes(blob[at + 3 : at + 3 + key_length])
            at += 3 + key_length + value_length
            self._secrets.append((kind, key, bytes(blob[at - value_length : at])))

    def __len__(self) -> int:
        """Return how many secrets are kept."""
        return len(self._secrets)

    def get(self, kind: int, index: int, key: bytes | None) -> bytes | None:
        """Return the secret of a key, or with None the one at `index` of its kind; None where there is none."""
        for known_kind, known_key, value in self._secrets:
            if known_kind != kind:
                continue
            if key is None:
                if index == 0:
                    return value
                index -= 1
            elif known_key == key:
                return value
        return None

    def put(self, kind: int, key: bytes, value: bytes | None) -> bool:
        """Keep a secret, or with None forget it; return whether that was possible."""
        kept = [each for each in self._secrets if (each[0], each[1]) != (kind, key)]
        if value is None:
            if len(kept) == len(self._secrets):
                return False
        else:
            kept.append((kind, key, value))
        blob = b"".join([bytes((each[0], len(each[1]), len(each[2]))) + each[1] + each[2] for each in kept])
        if len(blob) > MAX_BYTES:
            return False
        self._secrets = kept
        self._nvs.set_blob(_KEY, blob)
        self._nvs.commit()
        return True

    def clear(self) -> None:
        """Forget all peers."""
        self._secrets = []
        self._nvs.set_blob(_KEY, b"")
        self._nvs.commit()
