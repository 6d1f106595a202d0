"""From a configuration file to a running gateway: identity, database, drivers, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any

import structlog
from feldsher_ehr_core.ids import gateway_id

from feldsher_edge import metrics, status, tls
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.config import Config, ConfigError
from feldsher_edge.drivers import cardiographs, cuffs
from feldsher_edge.gateway import Gateway
from feldsher_edge.identity import Identity, load_identity
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.renewal import Renewal
from feldsher_edge.store import Store
from feldsher_edge.true_time import TrueTime

_log = structlog.get_logger("daemon")


def gateway_name(config: Config, identity: Identity | None) -> str:
    """Return this gateway's id; ConfigError where neither configuration nor identity names it, or they differ."""
    claimed = identity.place.gateway if identity else None
    if config.gateway is not None and claimed is not None and config.gateway != claimed:
        raise ConfigError(f"{config.gateway!r} where the identity is of {claimed!r} - at `$.gateway`")
    name = config.gateway or claimed
    if name is None:
        raise ConfigError("no gateway id: claim the gateway (feldsher-edge claim), or set it - at `$.gateway`")
    return gateway_id(name)


def broker(config: Config, identity: Identity | None, now: tls.Now | None = None) -> Broker:
    """Return where the broker is, from the configuration, else from the identity; ConfigError names what is missing.

    `now`: the time by which the broker's certificate is judged, at every connection.
    """
    mqtt = config.mqtt
    host = mqtt.host or (identity.place.mqtt_host if identity else None)
    port = mqtt.port or (identity.place.mqtt_port if identity else None)
    ca = mqtt.ca or (identity.ca if identity else None)
    certificate = mqtt.certificate or (identity.certificate if identity else None)
    key = mqtt.key or (identity.key if identity else None)
    if host is None or port is None or ca is None or certificate is None or key is None:
        raise ConfigError(
            "the broker is not known: claim the gateway, or set host, port, ca, certificate, key - at `$.mqtt`"
        )
    return Broker(host, port, partial(tls.context, ca, now, (certificate, key)), mqtt.keepalive_s)


@contextlib.contextmanager
def opened(config: Config) -> Generator[Outbox]:
    """Open the outbox of a configuration, and close it at the end."""
    clock = SystemClock(config.zone())
    name = gateway_name(config, load_identity(config.state))
    outbox = Outbox(Store(config.state / "outbox.sqlite3"), Envelopes(name, clock), config.outbox)
    try:
        yield outbox
    finally:
        outbox.close()


async def run(config: Config, rng: random.Random) -> None:
    """Run a gateway until SIGTERM or SIGINT."""
    with opened(config) as outbox:
        clock = outbox.envelopes.clock
        time = TrueTime(clock, config.state)
        gateway = Gateway(
            config,
            outbox,
            broker(config, load_identity(config.state), time.now),
            cardiographs(config, clock, rng),
            cuffs(config, clock, rng),
            rng,
        )
        gateway.renewal = renewal = Renewal(config.state, time, clock, gateway.publisher, gateway.tell_clock, rng)
        with metrics.served(gateway, config.metrics_port) if config.metrics_port else contextlib.nullcontext():
            work = asyncio.create_task(_all(gateway.run(), status.serve(gateway, config.state), renewal.run()))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, work.cancel)
            _log.info("gateway runs", gateway=outbox.envelopes.gateway, starts=gateway.starts)
            with contextlib.suppress(asyncio.CancelledError):
                await work
            _log.info("gateway ends")


async def _all(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until they end; cancelled, it waits for each one's orderly end."""
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)
