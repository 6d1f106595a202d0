"""The workstation in Debian's chromium: a doctor's way from sign-in to signature, by mouse, touch and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import access, db
from feldsher_cloud_api.care import order
from playwright.sync_api import Page, Response, expect

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
MM = 96 / 25.4
"""CSS pixels per millimetre of an uncalibrated screen."""
# Where static/ecg_paper.js puts the rhythm strip of a 3×4 sheet at 25 mm/s and 10 mm/mV: zero line and first second.
STRIP_Y, STRIP_X, SPEED, GAIN = 115.0, 10.0, 25.0, 10.0


def ecg_of_anna(clinic: Any) -> UUID:
    """An ordered and taken ECG, critical."""
    settings = clinic.settings("http://testserver")
    wanted = order.request(clinic.patient, UUID(clinic.seeded["cardiograph"]))
    (person,) = clinic.query("SELECT id, display, practitioner FROM cloud.person WHERE role = 'doctor'")
    who = access.Principal(person[0], "doctor", person[1], person[2], (), "web")
    with db.pool(clinic.url, db.API, size=1) as pool, access.asking(pool, who) as connection:
        placed = order.place(connection, who, wanted, now=settings.clock(), life=settings.order_life)
    return clinic.recording(order=UUID(placed["id"]))


@pytest.fixture(scope="module")
def ecg(clinic: Any) -> UUID:
    """One ECG for all tests that only look."""
    return ecg_of_anna(clinic)


def opened(page: Page, ecg: UUID) -> Page:
    """The page of an ECG, its trace drawn."""
    page.goto(f"/ecg/{ecg}")
    expect(page.locator("#ecg")).to_have_attribute("data-ready", "yes")
    return page


def at(page: Page, seconds: float, millivolts: float) -> tuple[float, float]:
    """Window coordinates of a point on the rhythm strip at 25 mm/s, 10 mm/mV, 100 %."""
    overlay = page.locator("#ecg-overlay")
    overlay.scroll_into_view_if_needed()
    box = overlay.bounding_box()
    assert box is not None
    return box["x"] + (STRIP_X + seconds * SPEED) * MM, box["y"] + (STRIP_Y - millivolts * GAIN) * MM


def numbers(page: Page) -> tuple[str, int, float, int]:
    """What the calipers read: lead, ms, mV, 1/min."""
    match = re.fullmatch(r"(\w+): (-?\d+) ms · (-?[\d.]+) mV · (\d+) 1/min", page.locator("#ecg-readout").inner_text())
    assert match is not None
    return match[1], int(match[2]), float(match[3]), int(match[4])


def ink(page: Page, seconds: float, millivolts: float) -> int:
    """Darkest value (0 to 255) of the sheet near a point of the rhythm strip: the trace is nearly black."""
    return page.evaluate(
        """([x, y]) => {
            const sheet = document.getElementById("ecg-sheet");
            const k = sheet.width / sheet.clientWidth;
            const { data } = sheet.getContext("2d").getImageData(Math.round(x * k) - 2, Math.round(y * k) - 2, 5, 5);
            let least = 255;
            for (let i = 0; i < data.length; i += 4) least = Math.min(least, Math.max(...data.slice(i, i + 3)));
            return least;
        }""",
        [(STRIP_X + seconds * SPEED) * MM, (STRIP_Y - millivolts * GAIN) * MM],
    )


def test_a_new_ecg_appears_on_the_worklist_without_reload(clinic: Any, browse: Open) -> None:
    page = browse("doctor")
    expect(page).to_have_url(re.compile("/worklist$"))
    page.evaluate("window.notReloaded = true")
    ecg = ecg_of_anna(clinic)
    expect(page.locator(f"#e-{ecg}")).to_be_visible()
    expect(page.locator("#worklist-said")).to_contain_text("for confirmation")
    assert page.evaluate("window.notReloaded")


def test_a_list_without_its_server_says_that_it_is_old(browse: Open) -> None:
    page = browse("doctor")
    stale = page.locator("#worklist-stale")
    expect(stale).to_be_hidden()
    page.context.set_offline(True)
    expect(stale).to_be_visible()
    page.context.set_offline(False)
    expect(stale).to_be_hidden()


def test_an_unattended_list_stops_asking_so_that_the_session_ends(browse: Open) -> None:
    page = browse("doctor")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("const late = Date.now() + 26 * 60000; Date.now = () => late")
    expect(page.locator("#worklist-stale")).to_be_visible()
    asked.clear()
    page.wait_for_timeout(1500)
    assert asked == []
    page.keyboard.press("Shift")
    expect(page.locator("#worklist-stale")).to_be_hidden()


def test_signing_in_leads_to_the_worklist(clinic: Any, browse: Open) -> None:
    page = browse(None)
    page.goto("/")
    expect(page.get_by_label("Account")).to_be_focused()
    page.keyboard.type("doctor")
    page.keyboard.press("Tab")
    page.keyboard.type(clinic.password("doctor"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/worklist$"))
    expect(page.get_by_text("Signed in as DEMO Doctor, doctor")).to_be_visible()


def test_wrong_password_is_told_in_russian(browse: Open) -> None:
    page = browse(None, locale="ru-RU")
    page.goto("/login")
    page.fill("#username", "doctor")
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Неверная учётная запись или пароль")


def test_the_trace_is_where_the_paper_says(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    assert ink(page, 0.4, 1.0) < 60  # tip of the first spike
    assert ink(page, 0.2, 0.0) < 60  # zero line before it
    assert ink(page, 0.3, 0.7) > 120  # paper beside it


def test_calipers_read_interval_amplitude_and_rate_by_mouse(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    page.mouse.move(*at(page, 0.4, 0.0))
    page.mouse.down()
    page.mouse.move(*at(page, 0.9, 0.5))
    page.mouse.move(*at(page, 1.2, 1.0))
    page.mouse.up()
    lead, ms, mv, bpm = numbers(page)
    assert lead == "II"
    assert ms == pytest.approx(800, abs=12)  # half a CSS pixel is 5 ms
    assert mv == pytest.approx(1.0, abs=0.03)
    assert bpm == pytest.approx(75, abs=2)
    expect(page.locator("#ecg-announce")).to_contain_text("II:")
    page.get_by_role("button", name="Clear calipers").click()
    expect(page.locator("#ecg-readout")).to_contain_text("drag on the trace")


def test_calipers_by_touch(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor", width=820, height=1180, has_touch=True), ecg)
    page.get_by_label("Measure by touch").check()
    client = page.context.new_cdp_session(page)
    for kind, point in (
        ("touchStart", (0.4, 0.0)),
        ("touchMove", (0.8, 0.2)),
        ("touchMove", (1.2, 1.0)),
        ("touchEnd", None),
    ):
        x, y = at(page, *point) if point else (0.0, 0.0)
        touches: dict[str, Any] = {"type": kind, "touchPoints": [{"x": x, "y": y}] if point else []}
        client.send("Input.dispatchTouchEvent", touches)  # pyright: ignore[reportUnknownMemberType]
    _, ms, mv, _ = numbers(page)
    assert ms == pytest.approx(800, abs=12)
    assert mv == pytest.approx(1.0, abs=0.03)


def test_calipers_by_keyboard_are_exact(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    page.locator("#ecg-overlay").focus()
    page.keyboard.press("Enter")  # both ends on the strip, 200 ms apart, on the trace
    assert numbers(page)[:3] == ("II", 200, 0.0)
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    assert numbers(page)[1] == 400
    page.keyboard.press("ArrowLeft")
    assert numbers(page)[1] == 398
    page.keyboard.press("ArrowUp")
    assert numbers(page)[2] == 0.01
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowLeft")
    assert numbers(page)[1] == 438
    page.keyboard.press("p")
    assert numbers(page)[:2] == ("V6", 438)
    page.keyboard.press("Escape")
    expect(page.locator("#ecg-readout")).to_contain_text("press Enter")


def test_speed_gain_layout_and_size_change_the_paper_in_true_millimetres(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    sheet = page.locator("#ecg-sheet")

    def millimetres() -> tuple[float, float]:
        box = sheet.bounding_box()
        assert box is not None
        return round(box["width"] / MM, 1), round(box["height"] / MM, 1)

    assert millimetres() == (260.0, 130.0)
    page.get_by_label("Speed").select_option("50")
    assert millimetres() == (510.0, 130.0)
    page.get_by_label("Speed").select_option("12.5")
    assert millimetres() == (135.0, 130.0)
    page.locator("select[name=gain]").select_option("20")
    assert millimetres() == (135.0, 210.0)
    page.get_by_label("Layout").select_option("12x1")
    assert millimetres() == (135.0, 430.0)
    page.locator("select[name=zoom]").select_option("2")
    assert millimetres() == (270.0, 860.0)


def test_a_tall_trace_gets_more_paper_instead_of_being_cut_off(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    heights = page.evaluate(
        """async () => {
            const viewer = document.querySelector("script[src$='ecg.js']").src;
            const { layPaper } = await import(viewer.replace("ecg.js", "ecg_paper.js"));
            const view = { layout: "12x1", speed: 25, gain: 10, start: 0, seconds: 10 };
            return [[1, 0], [3.1, 0], [1, 3.1]].map(([up, down]) => layPaper(view, ["I", "II"], { up, down }).height);
        }"""
    )
    assert heights == [50, 70, 70]  # 3.1 mV are 31 mm and 15 mm are there already: 20 mm, whole squares, are added


def test_screen_calibration_is_kept_by_the_browser(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    page.get_by_role("button", name="Calibrate screen").click()
    page.get_by_label("Size of the box").fill("5")
    page.get_by_role("button", name="Keep").click()
    for again in (False, True):
        if again:
            opened(page, ecg)
        box = page.locator("#ecg-sheet").bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(260 * 5, abs=1)


def test_marks_are_drawn_where_the_interpretation_has_them(ecg: UUID, browse: Open) -> None:
    page = opened(browse("doctor"), ecg)
    on_qrs = (180 / 500, 0.8)  # QRS onset of the first beat, above the trace
    assert ink(page, *on_qrs) > 120
    page.get_by_label("P-QRS-T marks").check()
    purple = page.evaluate(
        """([x, y]) => {
            const sheet = document.getElementById("ecg-sheet");
            const k = sheet.width / sheet.clientWidth;
            const { data } = sheet.getContext("2d").getImageData(Math.round(x * k) - 2, Math.round(y * k), 5, 1);
            return Array.from({ length: 5 }, (_, i) => data[4 * i + 1]).some((green) => green < 90);
        }""",
        [(STRIP_X + on_qrs[0] * SPEED) * MM, (STRIP_Y - on_qrs[1] * GAIN) * MM],
    )
    assert purple


def test_a_doctor_signs_with_the_keyboard_alone(clinic: Any, browse: Open) -> None:
    ecg = ecg_of_anna(clinic)
    page = browse("doctor")
    focus_by_tab(page, f"#e-{ecg}")
    page.keyboard.press("Enter")
    expect(page.locator("#ecg")).to_have_attribute("data-ready", "yes")
    expect(page.get_by_text("UNCONFIRMED", exact=True)).to_be_visible()
    focus_by_tab(page, "details.sign summary")
    page.keyboard.press("Enter")
    focus_by_tab(page, "#conclusion")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Seen by a person.")
    focus_by_tab(page, "#password")
    page.keyboard.type(clinic.password("doctor"))
    page.keyboard.press("Enter")
    expect(page.locator(".banner.signed")).to_contain_text("Signed by DEMO Doctor")
    expect(page.get_by_text("UNCONFIRMED", exact=True)).to_have_count(0)
    expect(page.get_by_text("Seen by a person.")).to_be_visible()


def focus_by_tab(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus; it must then be visibly outlined."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            outline = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
            assert outline >= 2, f"{selector} has the focus and does not show it"
            return
    raise AssertionError(f"{selector} cannot be reached with the Tab key")


# What a screen reader and weak eyes need; axe-core finds more, this finds the worst without another dependency.
CHECKS = """() => {
    const faults = [];
    const shown = (e) => e.checkVisibility({ checkVisibilityCSS: true }) && e.getClientRects().length > 0;
    for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
        if (!e.labels?.length && !e.ariaLabel) faults.push(`no label: ${e.outerHTML.slice(0, 80)}`);
    for (const e of document.querySelectorAll("a[href], button, summary"))
        if (shown(e) && !(e.innerText.trim() || e.ariaLabel)) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
    for (const e of document.querySelectorAll("img, canvas:not([aria-hidden])"))
        if (!(e.alt || e.ariaLabel || e.closest("[role=img][aria-label]"))) faults.push(`no text: ${e.tagName}`);
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id twice: ${id}`);
    for (const name of ["aria-describedby", "aria-labelledby"])
        for (const e of document.querySelectorAll(`[${name}]`))
            for (const id of e.getAttribute(name).split(/ +/))
                if (!document.getElementById(id)) faults.push(`nothing has the id ${id}`);
    if (document.querySelectorAll("h1").length !== 1) faults.push("not exactly one h1");
    const rgb = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * linear(c[i] / 255), 0);
    const behind = (e) => {
        for (let at = e; at; at = at.parentElement) {
            const c = rgb(getComputedStyle(at).backgroundColor);
            if (c.length === 3 || c[3] === 1) return c;
        }
        return [255, 255, 255];
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const e = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !shown(e) || ["SCRIPT", "NOSCRIPT"].includes(e.tagName)) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${walk.currentNode.data.trim().slice(0, 40)}`);
    }
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    if (wide > 0) faults.push(`${wide} px wider than the window`);
    return faults;
}"""


@pytest.mark.parametrize(
    ("width", "height", "locale"),
    [(1440, 900, "en-GB"), (1024, 768, "ru-RU"), (390, 844, "en-GB"), (360, 740, "ru-RU")],
)
def test_every_page_is_readable(clinic: Any, ecg: UUID, browse: Open, width: int, height: int, locale: str) -> None:
    clinic.pressure()
    places = {
        "doctor": [
            "/worklist", "/patients", "/order", f"/patient/{clinic.patient}", f"/ecg/{ecg}", f"/ecg/{ecg}/print"
        ],
        "anna": ["/me"],
        "technician": [
            "/fleet", "/fleet/problems", "/fleet/gateways", "/fleet/devices", "/fleet/gateway/gw-clinic",
            f"/fleet/device/{clinic.seeded['cuff']}",
        ],
        "manager": ["/fleet", f"/fleet/device/{clinic.seeded['cuff']}"],
        None: ["/login?reason=failed"],
    }  # fmt: skip
    for name, paths in places.items():
        page = browse(name, width=width, height=height, locale=locale)
        for path in paths:
            page.goto(path)
            assert page.evaluate(CHECKS) == [], (name, path)
            assert page.get_attribute("html", "lang") == locale[:2]


def test_on_a_phone_the_chart_covers_no_words_and_no_table_is_cut(clinic: Any, browse: Open) -> None:
    clinic.pressure()
    page = browse("anna", width=390, height=844)
    page.goto("/me")
    page.wait_for_selector(".u-legend")
    legend, words = (page.locator(s).bounding_box() for s in ("#trend .u-legend", "#trend ~ p"))
    assert legend is not None
    assert words is not None
    assert legend["y"] + legend["height"] <= words["y"]
    cut = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert page.locator(".scroll").count() >= 2
    assert page.evaluate(cut) == 0


def test_a_printed_ecg_is_one_sheet_of_paper_and_its_words(ecg: UUID, browse: Open) -> None:
    page = browse("doctor")
    page.goto(f"/ecg/{ecg}/print")
    page.wait_for_function("document.querySelector('img').complete")
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


def test_no_page_is_heavier_than_100_kilobytes_before_its_data(clinic: Any, ecg: UUID, browse: Open) -> None:
    page = browse("doctor")
    for path in ("/worklist", f"/patient/{clinic.patient}", f"/ecg/{ecg}", "/order"):
        heard: list[Response] = []

        def hear(response: Response, heard: list[Response] = heard) -> None:
            heard.append(response)

        page.on("response", hear)
        page.goto(path)
        page.wait_for_load_state("networkidle") if path != "/worklist" else page.wait_for_timeout(300)
        page.remove_listener("response", hear)
        # As their heads say: the body of an answer is gone once another page is being opened.
        loaded = [r.headers for r in heard if r.status == 200 and "samples" not in r.url]
        assert all("content-encoding" not in head for head in loaded)
        sizes = [int(head["content-length"]) for head in loaded]
        assert 0 < sum(sizes) < 100_000, path
