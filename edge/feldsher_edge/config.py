"""The configuration file of a gateway; what may stand in it is shared with the cloud: ehr_core gateway_config."""

from __future__ import annotations

from pathlib import Path

from feldsher_ehr_core.gateway_config import (
    Belt,
    BluetoothDevice,
    Bound,
    Config,
    ConfigError,
    Dicom,
    Folder,
    Interpreter,
    Kit,
    Mqtt,
    Network,
    Orders,
    Originals,
    Outbox,
    Page,
    Table,
    Update,
    convert,
    parse,
    table,
)

__all__ = [
    "Belt",
    "BluetoothDevice",
    "Bound",
    "Config",
    "ConfigError",
    "Dicom",
    "Folder",
    "Interpreter",
    "Kit",
    "Mqtt",
    "Network",
    "Orders",
    "Originals",
    "Outbox",
    "Page",
    "Table",
    "Update",
    "convert",
    "load",
    "parse",
    "read",
    "table",
]


def load(path: Path) -> Config:
    """Return the configuration in a file; ConfigError names the file and the field."""
    return convert(read(path), str(path))


def read(path: Path) -> Table:
    """Return a file's TOML as tables; ConfigError names the file and, where it is not TOML, the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return table(text, str(path))
