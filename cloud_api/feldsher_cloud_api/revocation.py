"""Making a revocation felt at once: the broker reads the list again, and the gateway's connection ends."""

from __future__ import annotations

import shlex
import ssl
import subprocess
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from feldsher_cloud_api import ca
from feldsher_cloud_api.config import BROKER_RELOAD, Settings, broker

_PATIENCE_S = 10.0
_CERTIFICATE_LIFE = timedelta(minutes=10)


class RevocationError(Exception):
    """Why a revoked gateway may still be connected; the certificate is on the list nevertheless."""


def enforce(settings: Settings, authority: ca.CertificateAuthority, gateway: str) -> None:
    """Make the broker refuse a gateway whose certificate has just been revoked, and end its connection and session.

    RevocationError says which of the two could not be done; repeating is harmless.
    """
    reload_broker(settings.broker_reload)
    try:
        end_session(settings, authority, gateway)
    except OSError as error:
        raise RevocationError(f"{gateway}: its connection could not be ended: {error}") from error


def reload_broker(command: str | None) -> None:
    """Run the command that makes the broker read its files again; RevocationError where there is none or it fails."""
    if not command:
        raise RevocationError(f"{BROKER_RELOAD} is not set: the broker has to be told to read its revocation list")
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 (the operator's own)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RevocationError(f"{BROKER_RELOAD}: {error}") from error
    if done.returncode:
        raise RevocationError(f"{BROKER_RELOAD} ended with code {done.returncode}: {done.stderr.strip()}")


def end_session(settings: Settings, authority: ca.CertificateAuthority, gateway: str) -> None:
    """Take a gateway's session over with a passing certificate of its name and end it; OSError where that fails.

    A client id is a certificate's name and a broker knows each only once: the gateway's connection ends (its will says
    so to ingest) and what waits for it is thrown away.
    """
    soon = settings.clock() + _CERTIFICATE_LIFE
    with tempfile.TemporaryDirectory(prefix="feldsher-") as folder:
        files = authority.issue_client(gateway, not_after=soon).write(Path(folder), "passing")
        context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
        context.load_cert_chain(*files)
    answers: list[ReasonCode] = []
    answered = threading.Event()

    def on_connect(*arguments: Any) -> None:
        answers.append(arguments[3])
        answered.set()

    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=gateway, protocol=mqtt.MQTTv5, reconnect_on_failure=False
    )
    client.tls_set_context(context)  # pyright: ignore[reportUnknownMemberType]
    client.on_connect = on_connect
    client.connect(*broker(settings.mqtt_url), clean_start=True)
    client.loop_start()
    answered.wait(_PATIENCE_S)
    client.disconnect()
    client.loop_stop()
    if not answers or answers[0].is_failure:
        raise ConnectionRefusedError(f"the broker's answer was {answers[0] if answers else 'none'}")
