"""What MicroPython starts: the kit; whatever it could not live with ends in a restart, never in a prompt."""

import sys
import time

import board
import machine
from kit.app import run

try:
    run(board.hardware())
except Exception as error:
    # On UART 0, where a technician may listen; the line to the gateway is another one.
    sys.print_exception(error)
    time.sleep_ms(1000)  # a fault at every start must not wear the flash out
machine.reset()
