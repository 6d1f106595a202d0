import random
import ssl
from pathlib import Path
from uuid import UUID

import pytest
from feldsher_edge import drivers
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import ConfigError, parse
from feldsher_edge.devices.bitalino import BitalinoCardiograph
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.openview import OpenViewCardiograph
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.dicom import DicomPort
from feldsher_edge.dropbox import Dropbox
from feldsher_edge.gateway import Gateway
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject

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


CARTS = """
state = "{state}"
[[folder]]
device = "cart-1"
path = "/srv/ecg"
[dicom]
[[dicom.cart]]
device = "cart-2"
ae_title = "CART2"
[[dicom.cart]]
device = "cart-3"
ae_title = "CART3"
"""


def test_closed_cardiographs_are_folders_and_one_port_and_may_have_orders(tmp_path: Path) -> None:
    config = parse(CARTS.format(state=tmp_path))
    outbox = Outbox(Store(tmp_path / "o"), Envelopes("gw-1", VirtualClock(), RNG.randbytes))
    made = Gateway(config, outbox, Broker("h", 1, ssl.create_default_context), (), (), RNG)
    assert [(type(it), it.devices) for it in made.carts] == [(Dropbox, ("cart-1",)), (DicomPort, ("cart-2", "cart-3"))]
    for number, device in enumerate(("cart-1", "cart-3", "nobody")):
        order = UUID(int=number + 1)
        command = wire.OrderCommand(
            id=order, sent_us=0, order=order, device=device, seconds=10, lapses_us=1 << 52, subject=Subject()
        )
        made.orders.command(command)
    assert [order.device for order in made.orders.open()] == ["cart-1", "cart-3"]
    outbox.close()


def test_originals_are_sealed_to_the_configured_certificate_or_the_claims(tmp_path: Path) -> None:
    assert drivers.certificate_for_originals(parse(f'state = "{tmp_path}"')) == ""
    (tmp_path / "c.pem").write_text("PEM")
    text = f'state = "{tmp_path}"\n[originals]\ncertificate = "{tmp_path}/c.pem"'
    assert drivers.certificate_for_originals(parse(text)) == "PEM"
    (tmp_path / "c.pem").unlink()
    assert drivers.certificate_for_originals(parse(text)) == ""
