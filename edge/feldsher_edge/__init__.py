"""One gateway: devices, outbox, publishing, commands, provisioning."""
