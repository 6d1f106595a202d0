"""A doctor watches an ECG while a real gateway records it: every part of the line is the one that production runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from feldsher_tools.client import Client
from feldsher_tools.place import Place
from feldsher_tools.stack import Stack, running
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WATCHED_S = 8

pytestmark = pytest.mark.browser


@pytest.fixture
def line(place: Place, server_directory: Path) -> Iterator[Stack]:
    directory = place.make_directory(server_directory / "live")
    with running(Stack(place, directory, tag=f"live-{server_directory.name}")) as stack:
        yield stack
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def page(line: Stack) -> Iterator[Page]:
    if not Path(CHROMIUM).exists():
        pytest.skip("CHROMIUM IS NOT INSTALLED: the live strip is not watched in a browser")
    assert line.demo is not None
    name, password, _ = next(account for account in line.demo.accounts if account[2] == "doctor")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        opened = browser.new_page(base_url=line.api_url, locale="en-GB")
        opened.goto("/login")
        opened.locator("[name=username]").fill(name)
        opened.locator("[name=password]").fill(password)
        opened.keyboard.press("Enter")
        opened.wait_for_url("**/worklist")
        yield opened
        browser.close()


def test_an_ordered_ecg_moves_on_the_page_while_it_is_recorded(line: Stack, page: Page) -> None:
    assert line.demo is not None
    client = Client(line.api_url, *line.demo.client)
    order = client.order_ecg(line.demo.patients[0], line.demo.cardiograph)
    client.close()
    page.goto(f"/live/{order}")
    page.evaluate(
        """() => {
            window.seen = [];
            const root = document.getElementById("live");
            new MutationObserver(() => window.seen.push([Number(root.dataset.samples), Number(root.dataset.delayMs)]))
                .observe(root, { attributes: true, attributeFilter: ["data-delay-ms"] });
        }"""
    )
    expect(page.locator("#live-open")).to_be_visible(timeout=60_000)
    seen = cast("list[tuple[int, int]]", page.evaluate("window.seen"))
    samples = [count for count, _ in seen]
    assert samples == sorted(samples)
    assert samples[-1] == 5000
    delays = sorted(delay for _, delay in seen)
    middle, worst = delays[len(delays) // 2], delays[-1]
    print(f"live strip: {len(seen)} pieces, delay from the gateway to the screen {middle} ms, at most {worst} ms")
    page.locator("#live-open").click()
    expect(page.locator("#ecg")).to_have_attribute("data-ready", "yes")
