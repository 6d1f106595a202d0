"""The fleet: gateways and devices as technicians and managers keep them; nothing clinical, nobody's name."""
