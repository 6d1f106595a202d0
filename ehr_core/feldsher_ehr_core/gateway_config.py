"""The gateway's configuration: TOML whose every error names the field, checked alike where it is written and used.

The technician's file is the ground; what the cloud wants is laid over it, table by table, lists as wholes. Some fields
(LOCAL) are the technician's alone: who the gateway is, where its data lies, how it reaches its broker.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from feldsher_ehr_core.ids import gateway_id


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the file and the field."""


Positive = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Room = Annotated[int, msgspec.Meta(ge=65_536)]
_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]?\d{1,4})"
_PROXY = rf"^http://([^/@\s]+@)?(\[[0-9a-fA-F:]+\]|[^/@:\s\[\]]+):{_PORT}/?$"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table: unknown keys are errors."""


class Mqtt(_Table, frozen=True):
    """The broker. What is absent comes from the identity that `feldsher-edge claim` stored in the state directory.

    `window`: most messages in flight, sent and not yet receipted. `receipt_timeout_s`: then a message is sent again,
    each further time after twice as long. `history_per_s`: most messages a second of what waited longer than
    `outbox.history_after_s`. Times in seconds. `transport`: `websockets` where only web traffic passes (mostly on port
    443), at `path` of the broker.
    """

    host: str | None = None
    port: Port | None = None
    transport: Literal["tcp", "websockets"] = "tcp"
    path: Annotated[str, msgspec.Meta(pattern="^/")] = "/mqtt"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    window: Annotated[int, msgspec.Meta(ge=4, le=1024)] = 32
    backoff_base_s: Positive = 1.0
    backoff_cap_s: Positive = 60.0
    receipt_timeout_s: Positive = 10.0
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 30
    heartbeat_s: Positive = 60.0
    history_per_s: Positive = 20.0


class Network(_Table, frozen=True):
    """The way out. `proxy`: the network's web proxy, `http://[user:password@]host:port`, for broker and cloud."""

    proxy: Annotated[str, msgspec.Meta(pattern=_PROXY)] | None = None


class Page(_Table, frozen=True):
    """The gateway's own web page, off by default. `listen`: this machine only, or the clinic's network with a PIN.

    `certificate` and `key`: where the page is to be read over HTTPS, the clinic's own files.
    """

    listen: Literal["off", "loopback", "lan"] = "off"
    port: Port = 8088
    certificate: Path | None = None
    key: Path | None = None


class Bound(_Table, frozen=True):
    """Most rows, bytes and days that waiting messages of one priority class may take."""

    rows: Count
    bytes: Room
    days: Positive


class Outbox(_Table, frozen=True):
    """Bounds of the outbox per priority class, and of `kept`, the receipted rows that can be sent again.

    `alarms`: critical ECGs, the record of losses; `ecg`: with the states of orders; `continuous`: monitoring, thinned
    before it is dropped, and telemetry. `history_after_s`: what could not be sent for so long is history, which follows
    what is new.
    """

    alarms: Bound = Bound(rows=200_000, bytes=1_000_000_000, days=3650)
    ecg: Bound = Bound(rows=200_000, bytes=4_000_000_000, days=3650)
    vitals: Bound = Bound(rows=1_000_000, bytes=1_000_000_000, days=3650)
    continuous: Bound = Bound(rows=500_000, bytes=300_000_000, days=60)
    kept: Bound = Bound(rows=200_000, bytes=1_000_000_000, days=7)
    history_after_s: Positive = 600.0


class Orders(_Table, frozen=True):
    """An order that nobody takes lapses after `lapse_s` seconds, or earlier where the order says so."""

    lapse_s: Positive = 600.0


class Interpreter(_Table, frozen=True):
    """The child process that interprets. `timeout_s`: then the recording is published without an interpretation."""

    enabled: bool = True
    timeout_s: Positive = 5.0


class Kit(_Table, frozen=True):
    """A cardiograph of our own kit on a serial line. `device`: the id by which orders name it."""

    device: Name
    port: str


Lead = Literal["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


class Cyton(_Table, frozen=True):
    """An OpenBCI Cyton on its dongle. `channels`: the lead wired to channel 1, 2 …, an empty text for an unused one.

    `gain`: not 24, at which the contact potential that electrodes may have (300 mV) drives the amplifier to its limit.
    """

    device: Name
    port: str
    channels: Annotated[tuple[Lead | Literal[""], ...], msgspec.Meta(min_length=1, max_length=8)]
    gain: Literal[1, 2, 4, 6, 8, 12] = 12


class Folder(_Table, frozen=True):
    """A watched folder that a closed cardiograph writes its files into (docs/operations/carts.md).

    `settle_s`: so long a file must have stood still; `most_mb`: larger files stay where they are; `trust_days`: so old
    a recording may be by the cardiograph's clock.
    """

    device: Name
    path: Path
    settle_s: Positive = 5.0
    poll_s: Positive = 2.0
    most_mb: Annotated[int, msgspec.Meta(ge=1, le=16)] = 8
    trust_days: Positive = 30.0


_AE = r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$"


class Cart(_Table, frozen=True):
    """A cardiograph that speaks DICOM, known by its AE title, and by its address where that is given."""

    device: Name
    ae_title: Annotated[str, msgspec.Meta(pattern=_AE)]
    address: str | None = None


class Dicom(_Table, frozen=True):
    """The DICOM port for carts: worklist and storage of ECGs (docs/operations/carts.md); needs `feldsher[dicom]`.

    Only the carts named here are answered. With `certificate` and `key` it speaks TLS alone, and demands a certificate
    of `ca` from carts where that is given. `listen`: an address of this machine, 0.0.0.0 for all of them.
    """

    cart: Annotated[tuple[Cart, ...], msgspec.Meta(min_length=1)]
    ae_title: Annotated[str, msgspec.Meta(pattern=_AE)] = "FELDSHER"
    listen: str = "127.0.0.1"
    port: Port = 11112
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    most_mb: Annotated[int, msgspec.Meta(ge=1, le=16)] = 8
    trust_days: Positive = 30.0


class Originals(_Table, frozen=True):
    """Files of foreign cardiographs, kept sealed: for `days`, in at most `mb` megabytes for each device.

    `certificate`: to which they are sealed (PEM, RSA); absent, it is the one that came with the claim.
    """

    certificate: Path | None = None
    days: Positive = 30.0
    mb: Count = 1000


class OpenView(_Table, frozen=True):
    """A ProtoCentral board. `lead`: how its electrodes are wired; `uv_per_bit`: microvolts per unit.

    HealthyPi 5 and bare boards need the scale: it is measured with a known signal (docs/devices.md).
    """

    device: Name
    port: str
    board: Literal["healthypi4", "healthypi5", "ads1292r"]
    lead: Lead
    uv_per_bit: Positive | None = None


class Bitalino(_Table, frozen=True):
    """A BITalino (r)evolution. `channels`: the lead on A1, A2 …, an empty text for an unused one.

    `gain`: of its ECG sensor.
    """

    device: Name
    port: str
    channels: Annotated[tuple[Lead | Literal[""], ...], msgspec.Meta(min_length=1, max_length=6)]
    rate: Literal[100, 1000] = 1000
    gain: Positive = 1100.0


class BluetoothDevice(_Table, frozen=True):
    """A Bluetooth device, found by `address`, else by the beginning of its `name`, else any that offers the service.

    `user`, `consent`: for devices that give readings only to a known user: the user's number on the device, and the
    code (0 to 9999) that the device shows for this user. `since`: when it was paired with this gateway; what it
    measured before is nobody's until staff says whose.
    """

    device: Name
    address: str | None = None
    name: str | None = None
    adapter: str | None = None
    user: Annotated[int, msgspec.Meta(ge=0, le=254)] | None = None
    consent: Annotated[int, msgspec.Meta(ge=0, le=9999)] | None = None
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Belt(BluetoothDevice, frozen=True):
    """A heart rate belt. `ecg`: take its continuous ECG too (Polar H10 and others with Polar's Measurement Data)."""

    ecg: bool = False


class Update(_Table, frozen=True):
    """Updates, and what is new on trial. `root`: the folder of `launch.sh` with the slots A and B; none: no updates.

    A new configuration or program is kept once the gateway was connected for `steady_s` seconds with every task alive,
    within `trial_s`; else it is rolled back.
    """

    root: Path | None = None
    trial_s: Positive = 180.0
    steady_s: Positive = 10.0


class Config(_Table, frozen=True):
    """The whole configuration.

    `metrics_port`: Prometheus on 127.0.0.1 where given; `metrics_file`: its text file (`….prom`) for node_exporter.
    """

    gateway: str | None = None
    state: Path = Path("/var/lib/feldsher")
    timezone: str = "UTC"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: Port | None = None
    metrics_file: Path | None = None
    mqtt: Mqtt = Mqtt()
    network: Network = Network()
    page: Page = Page()
    outbox: Outbox = Outbox()
    orders: Orders = Orders()
    interpreter: Interpreter = Interpreter()
    update: Update = Update()
    originals: Originals = Originals()
    folder: tuple[Folder, ...] = ()
    dicom: Dicom | None = None
    kit: tuple[Kit, ...] = ()
    cyton: tuple[Cyton, ...] = ()
    openview: tuple[OpenView, ...] = ()
    bitalino: tuple[Bitalino, ...] = ()
    cuff: tuple[BluetoothDevice, ...] = ()
    thermometer: tuple[BluetoothDevice, ...] = ()
    oximeter: tuple[BluetoothDevice, ...] = ()
    scale: tuple[BluetoothDevice, ...] = ()
    glucometer: tuple[BluetoothDevice, ...] = ()
    glucose_sensor: tuple[BluetoothDevice, ...] = ()
    belt: tuple[Belt, ...] = ()

    def serial(self) -> list[Kit | Cyton | OpenView | Bitalino]:
        """Return the cardiographs on serial lines."""
        return [*self.kit, *self.cyton, *self.openview, *self.bitalino]

    def bluetooth(self) -> list[tuple[str, BluetoothDevice]]:
        """Return the Bluetooth health devices with the name of their table."""
        tables = ("cuff", "thermometer", "oximeter", "scale", "glucometer", "glucose_sensor", "belt")
        return [(table, it) for table in tables for it in getattr(self, table)]

    def carts(self) -> tuple[Cart, ...]:
        """Return the cardiographs that speak DICOM."""
        return self.dicom.cart if self.dicom else ()

    def zone(self) -> tzinfo:
        """Return the time zone of the clinic or home."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


Table = dict[str, Any]
"""A TOML document as Python values."""


def parse(text: str, source: str = "configuration") -> Config:
    """Return the configuration of a TOML text; ConfigError names `source` and the field (`$.mqtt.port`) or line."""
    return convert(table(text, source), source)


def table(text: str, source: str) -> Table:
    """Return a TOML text as tables; ConfigError names `source` and the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error


def convert(values: Table, source: str) -> Config:
    """Return the configuration of tables; ConfigError names `source` and the field."""
    try:
        config = msgspec.convert(values, Config, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from error
    _check(config, source)
    return config


def _path(kind: type, value: object) -> object:
    """Read a path, the one type of ours that TOML does not have."""
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError(f"expected a path, got {value!r}")


def _check(config: Config, source: str) -> None:
    try:
        config.zone()
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"{source}: {config.timezone!r} is no IANA time zone - at `$.timezone`") from error
    if config.gateway is not None:
        try:
            gateway_id(config.gateway)
        except ValueError as error:
            raise ConfigError(f"{source}: {error} - at `$.gateway`") from error
    if (config.page.certificate is None) != (config.page.key is None):
        raise ConfigError(f"{source}: `certificate` and `key` belong together - at `$.page`")
    if config.mqtt.backoff_cap_s < config.mqtt.backoff_base_s:
        raise ConfigError(f"{source}: smaller than backoff_base_s - at `$.mqtt.backoff_cap_s`")
    names = [d.device for d in (*config.serial(), *config.folder, *config.carts())]
    names += [d.device for _, d in config.bluetooth()]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{source}: two devices are called {name!r} - at `$.kit`, `$.cuff` or another device")
    _check_wiring(config, source)
    _check_dicom(config, source)
    for table, it in config.bluetooth():
        if (it.user is None) != (it.consent is None):
            raise ConfigError(f"{source}: {it.device!r} needs `user` and `consent` together - at `$.{table}`")


def _check_wiring(config: Config, source: str) -> None:
    tables = [("cyton", it) for it in config.cyton] + [("bitalino", it) for it in config.bitalino]
    for table, it in tables:
        wired = [lead for lead in it.channels if lead]
        if not wired or len(set(wired)) < len(wired):
            raise ConfigError(f"{source}: {it.device!r} needs each lead once, at least one - at `$.{table}.channels`")
    for it in config.openview:
        if it.board != "healthypi4" and it.uv_per_bit is None:
            raise ConfigError(f"{source}: {it.device!r} needs its measured scale - at `$.openview.uv_per_bit`")


def _check_dicom(config: Config, source: str) -> None:
    it = config.dicom
    if it is None:
        return
    if (it.certificate is None) != (it.key is None):
        raise ConfigError(f"{source}: `certificate` and `key` belong together - at `$.dicom`")
    if it.ca is not None and it.certificate is None:
        raise ConfigError(f"{source}: without `certificate` and `key` there is no TLS - at `$.dicom.ca`")
    for cart in it.cart:
        same = [each for each in it.cart if each.ae_title.strip() == cart.ae_title.strip()]
        addresses = {each.address for each in same}
        if len(same) > 1 and (None in addresses or len(addresses) < len(same)):
            raise ConfigError(f"{source}: carts of one AE title need an address each - at `$.dicom.cart`")


LOCAL = (
    ("gateway",),
    ("state",),
    ("update",),
    ("network",),
    ("page",),
    ("mqtt", "host"),
    ("mqtt", "port"),
    ("mqtt", "transport"),
    ("mqtt", "path"),
    ("mqtt", "ca"),
    ("mqtt", "certificate"),
    ("mqtt", "key"),
    ("folder",),
    ("dicom",),
    ("originals", "certificate"),
)
"""Fields that only the file on the gateway sets."""


def laid_over(local: Table, text: str, source: str) -> Config:
    """Return the configuration of tables with a TOML text laid over them; ConfigError names the field that is wrong."""
    wanted = table(text, source)
    for path in LOCAL:
        if _has(wanted, path):
            raise ConfigError(f"{source}: only the file on the gateway sets it - at `$.{'.'.join(path)}`")
    return convert(_merged(local, wanted), source)


def _table(value: object) -> Table | None:
    return cast("Table", value) if isinstance(value, dict) else None


def _has(values: Table, path: tuple[str, ...]) -> bool:
    here: object = values
    for name in path:
        below = _table(here)
        if below is None or name not in below:
            return False
        here = below[name]
    return True


def _merged(ground: Table, over: Table) -> Table:
    out = dict(ground)
    for name, value in over.items():
        below, above = _table(out.get(name)), _table(value)
        out[name] = value if below is None or above is None else _merged(below, above)
    return out
