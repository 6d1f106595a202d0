import random

import pytest
from feldsher_edge import drivers
from feldsher_edge.config import ConfigError, parse
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.simulate.clock import VirtualClock

RNG = random.Random(1)  # noqa: S311 - jitter


def test_every_profile_is_a_table_of_the_configuration():
    text = "".join(f'[[{kind}]]\ndevice = "{kind}-1"\n' for kind in PROFILES)
    made = drivers.cuffs(parse(text), VirtualClock(), RNG, {})
    assert [it.device for it in made] == [f"{kind}-1" for kind in PROFILES]


def test_a_user_needs_a_code():
    with pytest.raises(ConfigError, match=r"'scale-1' needs `user` and `consent` together - at `\$\.scale`"):
        parse('[[scale]]\ndevice = "scale-1"\nuser = 1')


def test_two_devices_of_one_name_are_told():
    with pytest.raises(ConfigError, match="two devices are called 'one'"):
        parse('[[scale]]\ndevice = "one"\n[[belt]]\ndevice = "one"')
