"""What the gateway tells and does on the spot: over a socket in its state directory, and on its own web page."""
