"""What a board must bring: the parts that `app.py` puts together, already on their pins."""

import bluetooth
import esp32
import machine

from kit.afe import Afe
from kit.port import Link


class Hardware:
    """The parts of one board. `settings`: the partition of two slots."""

    def __init__(
        self,
        afe: Afe,
        pulses: esp32.PCNT,
        drdy: machine.Pin,
        button: machine.Pin,
        battery: machine.ADC,
        line: Link,
        dog: machine.WDT,
        memory: machine.RTC,
        settings: esp32.Partition,
        nvs: esp32.NVS,
        ble: bluetooth.BLE,
    ) -> None:
        self.afe = afe
        self.pulses = pulses
        self.drdy = drdy
        self.button = button
        self.battery = battery
        self.line = line
        self.dog = dog
        self.memory = memory
        self.settings = settings
        self.nvs = nvs
        self.ble = ble
