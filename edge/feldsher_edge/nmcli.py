"""Wi-Fi and mobile networks through NetworkManager's `nmcli`, in its terse output (nmcli(1), `--terse`)."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

WIFI, MOBILE = "feldsher-wifi", "feldsher-mobile"
_WAIT_S = 60


class NmcliError(Exception):
    """What NetworkManager cannot do now; the text says what the technician can do."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface as NetworkManager sees it; `connection` is empty where it is not in use."""

    name: str
    kind: str
    state: str
    connection: str


@dataclass(frozen=True, slots=True)
class Wifi:
    """A Wi-Fi network in reach; `signal` in percent; `security` is empty for an open one."""

    ssid: str
    signal: int
    security: str
    in_use: bool


def fields(line: str) -> list[str]:
    """Return the fields of a terse line: parted by colons; a backslash keeps the next character."""
    out, taken = [""], False
    for character in line:
        if taken:
            out[-1] += character
            taken = False
        elif character == "\\":
            taken = True
        elif character == ":":
            out.append("")
        else:
            out[-1] += character
    return out


def interfaces() -> list[Interface]:
    """Return the network interfaces."""
    lines = _run("--terse", "--fields", "DEVICE,TYPE,STATE,CONNECTION", "device").splitlines()
    return [Interface(*it) for it in map(fields, lines) if len(it) == 4]


def networks() -> list[Wifi]:
    """Return the Wi-Fi networks in reach, the strongest of each name, the strongest first."""
    best: dict[str, Wifi] = {}
    for line in _run("--terse", "--fields", "IN-USE,SSID,SIGNAL,SECURITY", "device", "wifi", "list").splitlines():
        it = fields(line)
        if len(it) != 4 or not it[1] or not it[2].isdigit():
            continue  # a hidden network has no name
        found = Wifi(it[1], int(it[2]), it[3], it[0] == "*")
        if found.ssid not in best or (found.in_use, found.signal) > (best[found.ssid].in_use, best[found.ssid].signal):
            best[found.ssid] = found
    return sorted(best.values(), key=lambda wifi: -wifi.signal)


def join(ssid: str, password: str | None) -> None:
    """Join a Wi-Fi network and keep it for every start; NmcliError says what failed."""
    secret = ["password", password] if password else []
    _run("--wait", str(_WAIT_S), "device", "wifi", "connect", ssid, *secret, "name", WIFI)


def dial(apn: str, pin: str | None) -> None:
    """Use a mobile modem with an access point name, for every start; NmcliError says what failed."""
    known = _run("--terse", "--fields", "NAME", "connection", "show").splitlines()
    if MOBILE in known:
        _run("connection", "delete", MOBILE)
    secret = ["gsm.pin", pin] if pin else []
    _run("connection", "add", "type", "gsm", "ifname", "*", "con-name", MOBILE, "apn", apn, *secret)
    _run("--wait", str(_WAIT_S), "connection", "up", MOBILE)


def _run(*arguments: str) -> str:
    program = shutil.which("nmcli")
    if program is None:
        raise NmcliError(
            "nmcli is not installed: this machine's network is not set up by NetworkManager; use the tool that it has, "
            "or: apt-get install network-manager"
        )
    try:
        done = subprocess.run(  # noqa: S603 - fixed program, arguments apart
            [program, *arguments], capture_output=True, text=True, timeout=_WAIT_S + 30, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NmcliError(f"NetworkManager did not answer in {error.timeout:.0f} s") from error
    if done.returncode:
        raise NmcliError(_words(done.returncode, (done.stderr or done.stdout).strip()))
    return done.stdout


def _words(code: int, said: str) -> str:
    """Return nmcli's own words with what to do, by its exit status (nmcli(1), EXIT STATUS)."""
    said = said.removeprefix("Error: ").splitlines()[0] if said else f"nmcli ended with {code}"
    if code == 8:
        return f"{said} Start it: systemctl enable --now NetworkManager"
    if "Secrets were required" in said or "802-11-wireless-security" in said:
        return f"{said} The password is wrong, or missing."
    if code == 10:
        return f"{said} Is it in reach? See: feldsher-edge network wifi"
    if "No suitable device" in said:
        return f"{said} Is the modem or Wi-Fi adapter plugged in? See: nmcli device"
    if "nsufficient privileges" in said or "Not authorized" in said:
        return f"{said} Use sudo."
    return said
