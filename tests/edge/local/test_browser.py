"""The gateway's page in Debian's chromium, with a real gateway whose link is down and a kit on its cable."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from feldsher_edge import status
from feldsher_tools.dbus import DBus
from feldsher_tools.office import Office
from feldsher_tools.place import free_port
from feldsher_tools.simulator import CUFF_ADDRESS, Simulator
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SHOTS = os.environ.get("FELDSHER_SCREENSHOTS")
"""A folder for pictures of the page, for docs/operations."""
KERNELS_S = 300.0


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory, dbus: DBus) -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator(tmp_path_factory.mktemp("devices") / "log", ("--patient", "inferior_stemi"))
    yield simulator, simulator.start(dbus.address)
    simulator.stop()


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory, devices: tuple[Simulator, str], dbus: DBus
) -> Iterator[tuple[str, Path]]:
    """A running gateway with a page; nobody answers where its broker should be."""
    folder = tmp_path_factory.mktemp("gateway")
    state, port, config = folder / "state", free_port(), folder / "edge.toml"
    config.write_text(
        f'state = "{state}"\ntimezone = "Asia/Yekaterinburg"\n[page]\nlisten = "loopback"\nport = {port}\n'
        f'[mqtt]\nbackoff_cap_s = 2\n[[kit]]\ndevice = "ecg-1"\nport = "{devices[1]}"\n'
        f'[[cuff]]\ndevice = "cuff-1"\naddress = "{CUFF_ADDRESS}"\n'
    )
    office = Office(folder / "office", broker=("127.0.0.1", free_port()))
    command = [sys.executable, "-m", "feldsher_edge.cli"]
    subprocess.run([*command, "claim", office.claim(), "-c", str(config)], check=True, capture_output=True)
    environment = os.environ | dbus.environment() | {"FELDSHER_DEMO": "1"}
    with subprocess.Popen([*command, "run", "-c", str(config)], env=environment, stderr=subprocess.DEVNULL) as gateway:
        wait(state, lambda it: it.interpreter == "ready", KERNELS_S)
        yield f"http://127.0.0.1:{port}", state
        gateway.terminate()
    office.close()


def wait(state: Path, condition: Callable[[status.Report], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition(status.ask(state)):
                return
        except status.StatusError:
            pass
        time.sleep(0.2)
    raise TimeoutError(str(condition))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or CHROMIUM
    if not Path(program).exists():
        pytest.skip("CHROMIUM IS NOT INSTALLED: the page is not tested in a browser (apt-get install chromium)")
    expect.set_options(timeout=60_000)  # what is expected may wait for the processor
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def opened(chromium: Browser, address: str, width: int, language: str = "en") -> tuple[Page, list[str]]:
    context = chromium.new_context(
        base_url=address, viewport={"width": width, "height": 900 if width > 600 else 800}, locale=language
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page, faults


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_from_the_strip_to_the_critical_ecg_while_the_link_is_down(
    chromium: Browser, address: tuple[str, Path], devices: tuple[Simulator, str]
) -> None:
    url, state = address
    simulator, _ = devices
    page, faults = opened(chromium, url, 1280)
    page.goto("/")
    expect(page.get_by_text("NOT connected")).to_be_visible()
    expect(page.get_by_text("DEMO: virtual devices")).to_be_visible()
    page.get_by_role("link", name="Live strip").click()
    expect(page.locator("#strip-state")).to_contain_text("No recording runs")
    simulator.measure([(132, 84)])
    simulator.say("start 10")
    expect(page.locator(".lead")).to_have_count(12)
    expect(page.locator(".lead small").first).to_have_text("good")
    page.wait_for_function(
        """() => {
            const c = document.querySelectorAll(".lead canvas")[1];
            return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v > 0);
        }""",
        timeout=60_000,
    )
    shot(page, "strip")
    wait(state, lambda it: it.waiting["alarm"] >= 1)
    page.goto("/")
    row = page.locator("section.alarm tr").nth(1)
    expect(row).to_contain_text("waits")
    expect(page.get_by_text("Systolic blood pressure")).to_be_visible()
    shot(page, "overview")
    row.get_by_role("link").click()
    picture = page.locator(".paper img")
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('.paper img').naturalWidth > 400")
    shot(page, "ecg")
    page.goto("/")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("Nothing was lost.")).to_be_visible()
    shot(page, "trial")
    assert faults == []


def test_on_a_telephone_nothing_is_wider_than_the_screen(chromium: Browser, address: tuple[str, Path]) -> None:
    page, faults = opened(chromium, address[0], 390, "ru-RU")
    for path, name in (("/", "phone"), ("/strip", "phone-strip")):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        shot(page, name)
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    page.goto("/")
    assert re.search("[а-я]", page.locator("h2").first.inner_text().lower())
    assert faults == []
