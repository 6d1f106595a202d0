import random

import pytest
from feldsher_edge import drivers
from feldsher_edge.config import ConfigError, parse
from feldsher_edge.devices.bitalino import BitalinoCardiograph
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.openview import OpenViewCardiograph
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.simulate.clock import VirtualClock

RNG = random.Random(1)  # noqa: S311 - jitter


def test_every_profile_is_a_table_of_the_configuration():
    text = "".join(f'[[{kind}]]\ndevice = "{kind}-1"\n' for kind in PROFILES)
    made = drivers.cuffs(parse(text), VirtualClock(), RNG, {})
    assert [it.device for it in made] == [f"{kind}-1" for kind in PROFILES]


def test_a_cyton_is_what_was_wired():
    (made,) = drivers.cardiographs(
        parse('[[cyton]]\ndevice = "board"\nport = "/dev/ttyUSB0"\nchannels = ["I", "", "V5"]'), VirtualClock(), RNG
    )
    assert (made.device, type(made)) == ("board", CytonCardiograph)


def test_a_board_of_each_kind_has_its_driver():
    text = """
[[openview]]
device = "hp"
port = "/dev/ttyUSB1"
board = "healthypi5"
lead = "II"
uv_per_bit = 0.38
[[bitalino]]
device = "bit"
port = "/dev/rfcomm0"
channels = ["", "I"]
"""
    made = drivers.cardiographs(parse(text), VirtualClock(), RNG)
    assert [(it.device, type(it)) for it in made] == [("hp", OpenViewCardiograph), ("bit", BitalinoCardiograph)]


def test_a_board_whose_scale_is_in_doubt_needs_it():
    with pytest.raises(ConfigError, match=r"'hp' needs its measured scale - at `\$\.openview\.uv_per_bit`"):
        parse('[[openview]]\ndevice = "hp"\nport = "p"\nboard = "ads1292r"\nlead = "II"')


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ('channels = ["I", "I"]', r"'board' needs each lead once, at least one - at `\$\.cyton\.channels`"),
        ('channels = [""]', "at least one - at"),
        ("channels = []", "length >= 1"),
        ('channels = ["V9"]', r"\$\.cyton\[0\]\.channels\[0\]"),
        ('channels = ["I"]\ngain = 24', r"24.*\$\.cyton\[0\]\.gain"),
    ],
)
def test_a_wiring_that_cannot_be_is_told(rest: str, why: str):
    with pytest.raises(ConfigError, match=why):
        parse(f'[[cyton]]\ndevice = "board"\nport = "/dev/ttyUSB0"\n{rest}')


def test_a_user_needs_a_code():
    with pytest.raises(ConfigError, match=r"'scale-1' needs `user` and `consent` together - at `\$\.scale`"):
        parse('[[scale]]\ndevice = "scale-1"\nuser = 1')


def test_two_devices_of_one_name_are_told():
    with pytest.raises(ConfigError, match="two devices are called 'one'"):
        parse('[[scale]]\ndevice = "one"\n[[belt]]\ndevice = "one"')
