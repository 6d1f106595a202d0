"""Verifying an ECDSA signature on P-256 (FIPS 186-5, section 6.4.2) with MicroPython's own long numbers.

Only public numbers pass here, so nothing need take the same time for all of them. Points are Jacobian (x, y, z);
z = 0 is the point at infinity. The work is done in steps, so that the watchdog and the line are served in between.
"""

# SEC 2 / FIPS 186-5 (SP 800-186, 3.2.1.3): curve P-256.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
STEP_BITS = 16
_INFINITY = (1, 1, 0)


def double(point: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return twice a point (a = -3: https://hyperelliptic.org/EFD, "dbl-2001-b")."""
    x, y, z = point
    if not z or not y:
        return _INFINITY
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def add(point: tuple[int, int, int], other: tuple[int, int]) -> tuple[int, int, int]:
    """Return a point plus an affine one, neither of them assumed to differ."""
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    r = (y2 * zz * z1 - y1) % P
    if not h:
        return _INFINITY if r else double(point)
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y1 * hhh) % P, z1 * h % P


def affine(point: tuple[int, int, int]) -> tuple[int, int]:
    """Return x and y of a point that is not at infinity."""
    x, y, z = point
    inverse = pow(z, P - 2, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def on_curve(key: tuple[int, int]) -> bool:
    """Say whether a public key is a point of the curve (its order is prime: every such point is good)."""
    x, y = key
    return x < P and y < P and (y * y - (x * x * x - 3 * x + B)) % P == 0


class Verification:
    """One signature being verified: call `step` until `done`, then `valid` is the answer.

    `key`: x and y of 32 bytes each; `digest`: SHA-256 of what was signed; `signature`: r and s of 32 bytes each.
    """

    def __init__(self, key: bytes, digest: bytes, signature: bytes) -> None:
        self.done = False
        self.valid = False
        self._r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:64], "big")
        self._key = (int.from_bytes(key[:32], "big"), int.from_bytes(key[32:64], "big"))
        if len(key) != 64 or len(digest) != 32 or len(signature) != 64 or not on_curve(self._key):
            self.done = True
            return
        if not (0 < self._r < N and 0 < s < N):
            self.done = True
            return
        inverse = pow(s, N - 2, N)
        self._u = int.from_bytes(digest, "big") * inverse % N
        self._v = self._r * inverse % N
        both = add((G[0], G[1], 1), self._key)
        # Where the key is -G there is no such point, and u·G + v·Q needs none.
        self._both = affine(both) if both[2] else None
        self._sum = _INFINITY
        self._bit = 256

    def step(self) -> bool:
        """Do a part of the work (about 40 ms on an ESP32-S3 by estimate); return whether it is done."""
        if self.done:
            return True
        for _ in range(STEP_BITS):
            self._bit -= 1
            self._next(self._u >> self._bit & 1, self._v >> self._bit & 1)
        if not self._bit:
            self.done = True
            self.valid = bool(self._sum[2]) and affine(self._sum)[0] % N == self._r
        return self.done

    def _next(self, u: int, v: int) -> None:
        """Take the next bit of both factors (Shamir's trick: one doubling serves both)."""
        total = double(self._sum)
        if u and v:
            if self._both:
                total = add(total, self._both)
        elif u:
            total = add(total, G)
        elif v:
            total = add(total, self._key)
        self._sum = total


def verify(key: bytes, digest: bytes, signature: bytes) -> bool:
    """Say at once whether a signature is valid."""
    verification = Verification(key, digest, signature)
    while not verification.step():
        pass
    return verification.valid
