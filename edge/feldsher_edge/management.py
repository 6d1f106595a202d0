"""What the cloud asks of the gateway itself: a configuration, an update, a diagnostics bundle, to forget everything.

Each command is answered with a report that names it, also when it is repeated. What is new runs on trial first: it is
kept once the gateway has been connected for a while with every task alive, else it is rolled back and that is reported.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, TypeVar
from uuid import UUID

import structlog
from feldsher_ehr_core import signed, wire
from feldsher_ehr_core.ids import made_ms

from feldsher_edge import wiping
from feldsher_edge.api import Api, RefusedError
from feldsher_edge.configured import Configured
from feldsher_edge.identity import Identity, ProvisionError, load_identity
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import Figures
from feldsher_edge.signing import verified
from feldsher_edge.true_time import TrueTime
from feldsher_edge.update import PYTHON, Installer, Offer, UpdateError, believe
from feldsher_edge.watchdog import Pulses

_log = structlog.get_logger("management")
Ending = Literal["stop", "configuration", "program", "wiped"]
"""Why a run of the gateway ended: told to, another configuration, another program, everything is forgotten."""
_POLL_S = 0.5
_WIPE_LOOK_S = 1.0
_ANSWERS_KEPT = 32
RETRY_S = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 3600.0, 3600.0)
"""Pauses between attempts to fetch an update over a link that fails: four hours in all, then it has failed."""
_TASK = dict[str, object]
_T = TypeVar("_T")


class Publishing(Protocol):
    """What is needed of the publisher."""

    figures: Figures


class KitUpdate(Protocol):
    """Puts a firmware into a kit."""

    async def __call__(self, device: str, offer: Offer, image: bytes) -> str:
        """Return what the kit then says it runs; UpdateError where it does not."""
        ...


@dataclass(slots=True)
class Management:
    """The management of one run of the gateway. `installer` None: no updates here; `bundle`: makes the diagnostics."""

    outbox: Outbox
    publisher: Publishing
    pulses: Pulses
    configured: Configured
    installer: Installer | None
    time: TrueTime
    software: str
    bundle: Callable[[], Awaitable[bytes]]
    kit_update: KitUpdate | None = None
    trial_s: float = 180.0
    steady_s: float = 10.0
    ended: asyncio.Future[Ending] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _answers: dict[UUID, _TASK] = field(default_factory=dict[UUID, _TASK])
    _judged: asyncio.Event = field(default_factory=asyncio.Event)
    _installing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Report how the gateway stands, judge what is on trial, finish a wipe; until something ends this run."""
        await self.report()
        if await asyncio.to_thread(wiping.wanted, self.configured.state) is not None:
            self._begin("wipe", self._forget)
        await self._judge()
        if not self.ended.done():
            self._judged.set()
        await asyncio.wait([self.ended])

    async def __call__(self, message: wire.DownMessage) -> None:
        """Take a command; long work goes on in the background."""
        if message.id in self._answers:
            await self.report({"task": message.id, **self._answers[message.id]})
        elif isinstance(message, wire.Configuration):
            await self._configure(message)
        elif isinstance(message, wire.Update):
            self._begin(f"update {message.device}", partial(self._update, message))
        elif isinstance(message, wire.Diagnose):
            self._begin("diagnose", partial(self._diagnose, message))
        elif isinstance(message, wire.Wipe):
            await self._take_wipe(message)
        elif isinstance(message, wire.ResendRequest):
            await self.report({"task": message.id, "task_state": "applied"})

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work in the background, unless the same runs already: a repeated command changes nothing."""
        if name in self._running:
            return

        async def guarded() -> None:
            try:
                await work()
            finally:
                del self._running[name]

        self._running[name] = asyncio.create_task(guarded())

    async def _configure(self, message: wire.Configuration) -> None:
        mine = await self._mine()
        tried = await asyncio.to_thread(self.configured.receive, message, mine.place.gateway, mine.place.word_keys)
        last = self.configured.last()
        if last.version == message.version:
            await self.report({"task": message.id, "task_state": last.state, "task_detail": last.detail})
        elif last.version > message.version:
            detail = f"version {last.version} came before; versions only grow"
            await self.report({"task": message.id, "task_state": "refused", "task_detail": detail})
        if tried:
            self._begin("configuration", self._try_configuration)

    async def _try_configuration(self) -> None:
        """End this run for another configuration, once no update is being installed: it would be lost half way."""
        async with self._installing:
            self._end("configuration")

    async def _answer(self, task: UUID, state: wire.ReportedState, detail: str | None) -> None:
        """Report what became of a command, now and whenever it is repeated."""
        answer: _TASK = {"task_state": state, "task_detail": detail}
        self._answers[task] = answer
        if len(self._answers) > _ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
        await self.report({"task": task, **answer})

    async def _update(self, message: wire.Update) -> None:
        offer, mine, new = Offer(message.manifest, message.signature), await self._mine(), False
        state: wire.ReportedState
        try:
            if message.device:
                state, detail = "applied", await self._install_kit(message.device, offer, mine)
            else:
                state, detail, new = await self._install(message.id, offer, mine)
        except (UpdateError, ProvisionError, OSError) as error:
            state, detail = "failed", str(error)
            _log.error("update failed", device=message.device, error=detail)
        await self._answer(message.id, state, detail)
        if new:
            self._end("program")

    async def _install(self, task: UUID, offer: Offer, mine: Identity) -> tuple[wire.ReportedState, str | None, bool]:
        """Return state and detail of the update, and whether it is now on trial and the program to be started anew."""
        if self.installer is None:
            raise UpdateError("updates are not set up on this gateway - at `$.update.root` of its own configuration")
        slots = self.installer.slots
        manifest = believe(offer, slots.keys(mine.place.release_keys))
        stands = slots.answer(task, manifest.sequence)
        if stands is not None:
            return stands.state, stands.detail, False
        await self._judged.wait()  # while another is on trial, the slot that this one would take is the way back
        slots.begin(task, manifest.sequence)
        await self.report({"task": task, "task_state": "working", "task_detail": "fetching and installing"})
        made = await self._despite_the_link(partial(self.installer.install, offer, Api(mine, self.time)))
        return "working", f"version {made.version} is on trial", True

    async def _install_kit(self, device: str, offer: Offer, mine: Identity) -> str:
        if self.kit_update is None or self.installer is None:
            raise UpdateError(f"no kit called {device!r} on this gateway can take a firmware")
        image = await self._despite_the_link(partial(self.installer.firmware, offer, Api(mine, self.time)))
        return await self.kit_update(device, offer, image)

    async def _despite_the_link(self, work: Callable[[], _T]) -> _T:
        """Do work that needs the cloud; where the link fails, again, ever more rarely: a download is carried on."""
        for pause_s in RETRY_S:
            try:
                async with self._installing:
                    return await asyncio.to_thread(work)
            except RefusedError:
                raise
            except ProvisionError as error:
                _log.warning("not fetched yet", error=str(error), again_s=pause_s)
            await asyncio.wait([self.ended], timeout=pause_s)
            if self.ended.done():
                raise asyncio.CancelledError  # the next run is told of it again
        async with self._installing:
            return await asyncio.to_thread(work)

    async def _diagnose(self, message: wire.Diagnose) -> None:
        api = Api(await self._mine(), self.time)
        try:
            data = await self.bundle()
            await asyncio.to_thread(api.send, "POST", "/gateway/diagnostics", data, "application/zip")
        except (ProvisionError, OSError) as error:
            await self._answer(message.id, "failed", str(error))
        else:
            await self._answer(message.id, "applied", None)

    async def _take_wipe(self, message: wire.Wipe) -> None:
        mine = await self._mine()
        said = signed.wipe(mine.place.gateway, message.id.bytes, force=message.force)
        if not verified(mine.place.word_keys, message.signature, said):
            _log.error("a command to wipe without the cloud's signature")
            return
        if made_ms(message.id) < mine.place.claimed_ms:
            _log.error("a command to wipe from before this gateway was claimed: it was for who had its name then")
            return
        await asyncio.to_thread(wiping.want, self.configured.state, force=message.force, task=message.id)
        waiting = sum((await self.outbox.call(self.outbox.counts)).waiting)
        detail = f"{waiting} messages are sent first" if waiting and not message.force else None
        await self.report({"task": message.id, "task_state": "working", "task_detail": detail})
        self._begin("wipe", self._forget)

    async def _forget(self) -> None:
        """End this run for the wipe once nothing waits to be sent, or at once where it is forced.

        The last word to the cloud is that it is done: where that word has been receipted, everything else was.
        """
        told = False
        while not self.ended.done():
            wanted = await asyncio.to_thread(wiping.wanted, self.configured.state)
            counts = await self.outbox.call(self.outbox.counts)
            if wanted is not None and (wanted.force or not (sum(counts.waiting) or counts.held)):
                if told or wanted.task is None:
                    self._end("wiped")
                else:
                    detail = "forgets, also what was not sent" if wanted.force else "all was sent; it forgets"
                    await self.report({"task": wanted.task, "task_state": "applied", "task_detail": detail})
                    told = True
            await asyncio.wait([self.ended], timeout=_WIPE_LOOK_S)

    async def _judge(self) -> None:
        """Keep what is on trial once the gateway is well with it; else go back."""
        updating = self.installer.slots if self.installer is not None and self.installer.slots.trial() else None
        trying = self.configured.trial() is not None
        if updating is None and not trying:
            return
        fault = await self._fault()
        if fault is None:
            await asyncio.to_thread(self.configured.keep)
            if updating is not None:
                await asyncio.to_thread(updating.keep)
            await self.report()
            return
        # One thing at a time: of two new things the configuration is the likelier fault, and the easier to take back.
        if trying:
            await asyncio.to_thread(self.configured.roll_back, fault)
        elif updating is not None:
            await asyncio.to_thread(updating.roll_back, fault)
        self._end("configuration" if trying else "program")

    async def _fault(self) -> str | None:
        """Return None once the gateway has been connected for a while with every task alive; else what was missing."""
        loop = asyncio.get_running_loop()
        deadline, well_since = loop.time() + self.trial_s, None
        missing = "no connection to the broker"
        while loop.time() < deadline:
            late = self.pulses.late()
            if self.publisher.figures.connected and not late:
                well_since = loop.time() if well_since is None else well_since
                if loop.time() - well_since >= self.steady_s:
                    return None
            else:
                well_since = None
                missing = f"tasks without a heartbeat: {', '.join(late)}" if late else "no connection to the broker"
            await asyncio.sleep(_POLL_S)
        return f"not healthy within {self.trial_s:.0f} s: {missing}"

    async def report(self, answer: _TASK | None = None) -> None:
        """Put a report of how the gateway stands into the outbox; `answer`: the command that it answers."""
        mine = await asyncio.to_thread(load_identity, self.configured.state)
        until = None if mine is None else int(mine.shown().not_valid_after_utc.timestamp() * 1_000_000)
        wanted = self.configured.last()
        fields: _TASK = {
            "software": self.software,
            "config": self.configured.version,
            "config_sha256": self.configured.sha256,
            "config_wanted": wanted.version,
            "config_state": wanted.state,
            "config_detail": wanted.detail,
            "certificate_until_us": until,
            "machine": platform.machine(),
            "python": PYTHON,
        }
        if self.installer is not None:
            slots, last = self.installer.slots, self.installer.slots.settle()
            fields |= {"update": slots.sequence, "slot": slots.current(), "update_wanted": last.sequence}
            fields |= {"update_state": last.state, "update_detail": last.detail}
        fields |= answer or {}
        await self.outbox.call(self.outbox.put, lambda env: wire.Reported(env=env, **fields))  # pyright: ignore[reportArgumentType] - by name

    async def _mine(self) -> Identity:
        mine = await asyncio.to_thread(load_identity, self.configured.state)
        if mine is None:
            raise ProvisionError("this gateway has no identity of its own; claim it")
        return mine

    def begin_anew(self) -> None:
        """End this run, to go on with the configuration as it now is on the disk."""
        self._end("configuration")

    def _end(self, why: Ending) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
