"""MQTT to TimescaleDB, with a receipt after every commit."""
