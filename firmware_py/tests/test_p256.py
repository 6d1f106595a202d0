"""ECDSA on P-256: a published vector, and everything that must not verify."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import binascii

from kit.p256 import B, G, N, P, Verification, add, affine, double, on_curve, verify
from same import same

# RFC 6979, A.2.5: key, message "sample" with SHA-256, signature.
KEY = binascii.unhexlify(
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
DIGEST = binascii.unhexlify("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf")
SIGNATURE = binascii.unhexlify(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)


def _with(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + value.to_bytes(32, "big") + data[at + 32 :]


def test_the_published_signature():
    assert verify(KEY, DIGEST, SIGNATURE)
    import hashlib

    same(hashlib.sha256(b"sample").digest(), DIGEST)


def test_one_changed_bit_anywhere():
    for at in (0, 31, 32, 63):
        broken = bytearray(SIGNATURE)
        broken[at] ^= 1
        assert not verify(KEY, DIGEST, bytes(broken))
    broken = bytearray(DIGEST)
    broken[5] ^= 0x80
    assert not verify(KEY, bytes(broken), SIGNATURE)


def test_numbers_out_of_range():
    for value in (0, N, N + 1, (1 << 256) - 1):
        assert not verify(KEY, DIGEST, _with(SIGNATURE, 0, value))
        assert not verify(KEY, DIGEST, _with(SIGNATURE, 32, value))


def test_keys_that_are_none():
    assert not verify(_with(KEY, 0, 5), DIGEST, SIGNATURE)  # not on the curve
    assert not verify(_with(KEY, 0, P), DIGEST, SIGNATURE)
    assert not verify(bytes(64), DIGEST, SIGNATURE)
    assert not verify(b"", DIGEST, SIGNATURE)
    assert not verify(KEY, DIGEST, SIGNATURE[:63])
    assert not verify(KEY, DIGEST[:31], SIGNATURE)


def test_points():
    assert on_curve(G)
    twice = affine(double((G[0], G[1], 1)))
    assert on_curve(twice)
    same(affine(add((G[0], G[1], 1), G)), twice)
    same(add((G[0], G[1], 1), (G[0], P - G[1]))[2], 0)
    same(add((1, 1, 0), G), (G[0], G[1], 1))
    same(double((1, 1, 0))[2], 0)
    # N times G is the point at infinity: one before it is -G.
    total = (1, 1, 0)
    for bit in range(255, -1, -1):
        total = double(total)
        if (N - 1) >> bit & 1:
            total = add(total, G)
    same(affine(total), (G[0], P - G[1]))
    assert B < P


def test_keys_for_which_a_sum_has_no_point():
    for y in (G[1], P - G[1]):
        key = G[0].to_bytes(32, "big") + y.to_bytes(32, "big")
        assert not verify(key, DIGEST, SIGNATURE)


def test_it_goes_in_steps():
    verification = Verification(KEY, DIGEST, SIGNATURE)
    steps = 1
    while not verification.step():
        steps += 1
    same((steps, verification.valid, verification.step()), (16, True, True))
