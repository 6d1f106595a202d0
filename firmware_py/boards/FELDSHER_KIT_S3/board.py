"""Pins of the kit's board: an ESP32-S3 (8 MB of flash, no PSRAM), an ADS1298, an isolated UART to a USB bridge.

The patient's side has no galvanic way to the USB plug: digital isolator and isolated supply stand between them
(IEC 60601-1); so the line is a UART here, and becomes USB-CDC behind the isolation.
"""

import bluetooth
import esp32
import machine
from kit.afe import Afe
from kit.hardware import Hardware
from kit.port import UartLink
from kit.sampler import WRAP

SCLK = 12
MOSI = 11
MISO = 13
SELECT = 10
START = 9
RESET = 8
DRDY = 7
TX = 17
RX = 18
HOST = 16
BUTTON = 4
BATTERY = 1
BAUD = 460_800
SPI_HZ = 4_000_000
"""27 bytes in 54 µs. Faster, and the bytes of a command would follow each other too fast (SBAS459K, 9.5.1)."""
DOG_MS = 8000


def hardware() -> Hardware:
    """Return the parts of this board."""
    pin = machine.Pin
    # Mode 1 (CPOL 0, CPHA 1): SBAS459K, 9.4.2.
    spi = machine.SPI(1, SPI_HZ, polarity=0, phase=1, sck=pin(SCLK), mosi=pin(MOSI), miso=pin(MISO))
    drdy = pin(DRDY, pin.IN)
    pulses = esp32.PCNT(0, pin=drdy, falling=esp32.PCNT.INCREMENT, max=WRAP)
    pulses.start()
    uart = machine.UART(1, BAUD, tx=pin(TX), rx=pin(RX), timeout=0, rxbuf=1024, txbuf=4096)
    return Hardware(
        afe=Afe(spi, pin(SELECT, pin.OUT, value=1), pin(START, pin.OUT, value=0), pin(RESET, pin.OUT, value=1)),
        pulses=pulses,
        drdy=drdy,
        button=pin(BUTTON, pin.IN, pin.PULL_UP),
        battery=machine.ADC(pin(BATTERY), atten=machine.ADC.ATTN_11DB),
        line=UartLink(uart, pin(HOST, pin.IN)),
        dog=machine.WDT(timeout=DOG_MS),
        memory=machine.RTC(),
        settings=esp32.Partition.find(esp32.Partition.TYPE_DATA, label="kitcfg")[0],  # pyright: ignore[reportUnknownArgumentType] - a bare List
        nvs=esp32.NVS("kit"),
        ble=bluetooth.BLE(),
    )
