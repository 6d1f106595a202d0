"""From a configuration file to a running gateway: identity, database, drivers, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from feldsher_ehr_core.ids import gateway_id

from feldsher_edge import diagnostics, metrics, proxy, returning, status, tls, wiping
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.config import Config, ConfigError, convert, read
from feldsher_edge.configured import Configured
from feldsher_edge.drivers import cardiographs, cuffs
from feldsher_edge.firmware import Kits
from feldsher_edge.gateway import SOFTWARE, Gateway
from feldsher_edge.identity import Identity, load_identity
from feldsher_edge.link import Broker
from feldsher_edge.local import child
from feldsher_edge.local.service import LocalService
from feldsher_edge.management import Ending, Management
from feldsher_edge.marks import StoredMarks, StoredMeetings
from feldsher_edge.outbox import Outbox
from feldsher_edge.renewal import Renewal
from feldsher_edge.slots import Slots
from feldsher_edge.store import Store
from feldsher_edge.true_time import TrueTime
from feldsher_edge.update import Installer

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
    path = mqtt.path if mqtt.transport == "websockets" else None
    return Broker(host, port, partial(tls.context, ca, now, (certificate, key)), mqtt.keepalive_s, path)


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


async def run(path: Path, rng: random.Random) -> Ending:
    """Run the gateway of a configuration file until it is stopped, is to be started as another program, or is wiped.

    A configuration from the cloud is laid over the file's; where the run with it ends in an error while it is on trial,
    it is taken back and the gateway goes on with the one before. Database and identity stay where they are.
    """
    local = read(path)
    configured = Configured(convert(local, str(path)).state, local, str(path))
    while True:
        try:
            ending = await _run_once(configured.effective(), configured, path, rng)
        except Exception as error:
            if configured.trial() is None:
                raise
            configured.roll_back(f"the gateway ended with an error: {error}")
            continue
        configured = _read_anew(configured, path)
        if ending == "wiped":
            await returning.clean(convert(configured.local, str(path)), configured.effective())
            await asyncio.to_thread(wiping.wipe, configured.state)
        if ending != "configuration":
            return ending
        _log.info("another configuration is in force", version=configured.version, trial=configured.trial() is not None)


def _read_anew(configured: Configured, path: Path) -> Configured:
    """Return the configuration with the technician's file as it is now; a file with a mistake changes nothing."""
    try:
        local = read(path)
        if convert(local, str(path)).state != configured.state:
            raise ConfigError(f"{path}: another state directory needs a restart - at `$.state`")
    except ConfigError as error:
        _log.error("the configuration file is not taken; the one before stays", error=str(error))
        return configured
    return Configured(configured.state, local, str(path))


async def _run_once(config: Config, configured: Configured, path: Path, rng: random.Random) -> Ending:
    proxy.use(config.network.proxy)
    with opened(config) as outbox:
        clock = outbox.envelopes.clock
        time = TrueTime(clock, config.state)
        gateway = Gateway(
            config,
            outbox,
            broker(config, load_identity(config.state), time.now),
            cardiographs(config, clock, rng),
            cuffs(config, clock, rng, StoredMarks(outbox.store), StoredMeetings(outbox.store)),
            rng,
        )
        gateway.renewal = Renewal(config.state, time, clock, gateway.publisher, gateway.tell_clock, rng)
        local = LocalService(outbox, gateway.cardiographs, gateway.interpreter and gateway.interpreter.draw)
        gateway.strip.onlooker = local.show
        management = _management(gateway, configured, path, time)
        gateway.commands.others = management
        with metrics.served(gateway, config.metrics_port) if config.metrics_port else contextlib.nullcontext():
            parts = [
                gateway.run(),
                status.serve(gateway, config.state),
                local.serve(config.state),
                gateway.renewal.run(),
                management.run(),
            ]
            if config.page.listen != "off":
                parts.append(child.keep(path))
            if config.metrics_file is not None:
                parts.append(metrics.keep_written(gateway, config.metrics_file))
            return await _until_ended(asyncio.create_task(_all(*parts)), management, gateway)


def _management(gateway: Gateway, configured: Configured, path: Path, time: TrueTime) -> Management:
    root = gateway.config.update.root
    return Management(
        gateway.outbox,
        gateway.publisher,
        gateway.pulses,
        configured,
        Installer(Slots(root), path) if root is not None else None,
        time,
        SOFTWARE,
        partial(diagnostics.bundle, gateway),
        kit_update=Kits(gateway.cardiographs),
        trial_s=gateway.config.update.trial_s,
        steady_s=gateway.config.update.steady_s,
    )


async def _until_ended(work: asyncio.Task[None], management: Management, gateway: Gateway) -> Ending:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    loop.add_signal_handler(signal.SIGHUP, management.begin_anew)
    _log.info("gateway runs", gateway=gateway.outbox.envelopes.gateway, starts=gateway.starts)
    try:
        await asyncio.wait([work, management.ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending: Ending = management.ended.result() if management.ended.done() else "stop"
        work.cancel()  # each part ends in order; one that has failed tells of it here
        with contextlib.suppress(asyncio.CancelledError):
            await work
    _log.info("gateway ends", why=ending)
    return ending


async def _all(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until they end; cancelled, it waits for each one's orderly end."""
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)
