"""Virtual devices: a cardiograph on a pty, a cuff as a real GATT server, a Bluetooth daemon for machines without one.

The gateway cannot tell them from real ones: it is given a serial port and a D-Bus address, nothing else.
"""
