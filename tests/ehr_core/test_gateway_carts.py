"""The configuration of carts: folders and the DICOM port, and what cannot work."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.gateway_config import Config, ConfigError, laid_over, parse

TWO_CARTS = """
[dicom]
port = {port}
most_mb = 1
[[dicom.cart]]
device = "cart-1"
ae_title = "CART1"
[[dicom.cart]]
device = "cart-2"
ae_title = "CART2"
address = "127.0.0.9"
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"CART2": "CART1", 'address = "127.0.0.9"': ""}, "carts of one AE title need an address each"),
        ({"most_mb = 1": 'key = "k"'}, "`certificate` and `key` belong together"),
        ({"most_mb = 1": 'ca = "k"'}, "without `certificate` and `key` there is no TLS"),
        ({"CART1": "A" * 17}, "dicom.cart"),
        ({"CART1": "A\\\\B"}, "dicom.cart"),
        ({"cart-2": "cart-1"}, "two devices are called 'cart-1'"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(change: dict[str, str], said: str) -> None:
    text = TWO_CARTS.format(port=11112)
    for old, new in change.items():
        text = text.replace(old, new)
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_a_configuration_from_the_cloud_opens_no_port_and_watches_no_folder() -> None:
    for text in (TWO_CARTS.format(port=1), '[[folder]]\ndevice = "c"\npath = "/etc"', '[originals]\ncertificate = "x"'):
        with pytest.raises(ConfigError, match="only the file on the gateway sets it"):
            laid_over({}, text, "cloud")
    assert isinstance(laid_over({}, "[originals]\ndays = 5.0", "cloud"), Config)
