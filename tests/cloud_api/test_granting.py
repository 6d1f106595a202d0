"""What of asked scopes is granted."""

from __future__ import annotations

import pytest
from feldsher_cloud_api.granting import granted


@pytest.mark.parametrize(
    ("asked", "registered", "given"),
    [
        ("user/*.rs", "user/*.rs", "user/*.rs"),
        ("user/Observation.rs", "user/*.cruds", "user/Observation.rs"),
        ("user/Observation.read", "user/*.rs", "user/Observation.read"),
        ("user/Observation.cruds", "user/*.rs", "user/Observation.rs"),
        ("user/Observation.write", "user/*.rs", ""),
        ("user/*.cruds", "user/*.rs user/Task.cu", "user/*.rs user/Task.cu"),
        ("user/*.rs", "user/Patient.rs user/Task.cruds", "user/Patient.rs user/Task.rs"),
        ("user/Observation.rs?category=a|b", "user/*.rs", "user/Observation.rs?category=a|b"),
        ("user/Observation.rs", "user/Observation.rs?category=a|b", ""),
        ("user/Observation.rs?category=c", "user/Observation.rs?category=a", ""),
        ("patient/*.rs", "user/*.rs system/*.cruds", ""),
        ("openid openid launch", "openid launch", "openid launch"),
        ("offline_access", "openid", ""),
        ("user/*.sr nonsense", "user/*.rs nonsense", ""),
    ],
)
def test_nothing_is_granted_beyond_the_registration(asked: str, registered: str, given: str) -> None:
    assert " ".join(granted(asked.split(), registered.split())) == given
