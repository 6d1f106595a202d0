"""Both catalogues say the same things, everything that templates ask for exists, and plural forms are right."""

import re
from datetime import UTC, date, datetime
from importlib.resources import files
from string import Formatter
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from feldsher_cloud_api.project.alarm import KINDS, PRIORITY
from feldsher_cloud_api.web import catalogue as words
from feldsher_ehr_core.artefact import Doubt
from feldsher_ehr_core.monitoring import Side
from feldsher_ehr_core.vitals import VITALS
from feldsher_signal.quality import ISSUES
from feldsher_signal.registry import REGISTRY

WEB = files("feldsher_cloud_api.web")
PLURALS = {"en": {"one", "other"}, "ru": {"one", "few", "many"}}


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _without_plural(key: str) -> str:
    stem, _, last = key.rpartition(".")
    return stem if last in {"one", "few", "many", "other"} and not key.startswith("sex.") else key


def _templates() -> list[tuple[str, str]]:
    return [(p.name, p.read_text(encoding="utf-8")) for p in WEB.iterdir() if p.name.endswith((".html", ".py"))]


def test_both_languages_have_the_same_sentences() -> None:
    en, ru = words.catalogue("en").sentences, words.catalogue("ru").sentences
    engines = {f"statement.{code}" for code in REGISTRY}  # their English is the statement's own text
    assert {_without_plural(k) for k in en} == {_without_plural(k) for k in ru} - engines


def test_same_fields_in_both_languages() -> None:
    en, ru = words.catalogue("en").sentences, words.catalogue("ru").sentences
    differing = [k for k in en.keys() & ru.keys() if _fields(en[k]) != _fields(ru[k])]
    assert differing == []


def test_no_russian_sentence_is_left_in_english() -> None:
    ru = words.catalogue("ru").sentences
    latin = {k for k, v in ru.items() if not re.search("[а-яА-ЯёЁ]", v)}
    assert latin == {"page.product", "ecg.layout_3x4", "ecg.layout_6x2", "ecg.layout_12x1", "ecg.limit", "unit.Cel"}


@pytest.mark.parametrize("language", sorted(PLURALS))
def test_every_word_of_an_alarm_exists(language: str) -> None:
    known = words.catalogue(language).sentences
    wanted = {f"alarm.kind.{k}" for k in KINDS} | {f"alarm.priority.{p}" for p in PRIORITY.values()}
    wanted |= {f"alarm.doubt.{d}" for d in get_args(Doubt)} | {f"vital.{code}" for code in VITALS}
    wanted |= {f"alarm.side.{s}" for s in get_args(Side) if s != "stated"}
    assert wanted - known.keys() == set()


@pytest.mark.parametrize(("name", "text"), _templates())
def test_every_sentence_asked_for_exists(name: str, text: str) -> None:
    asked = set(re.findall(r"""say\(\s*["']([a-z_]+\.[a-zA-Z0-9_.]+)["']""", text))
    known = set(words.catalogue("en").sentences)
    groups = {k for k in asked if k.endswith(".")}  # the code that follows is known at run time only
    assert not asked - groups - known, name
    assert not {g for g in groups if not any(k.startswith(g) for k in known)}, name


@pytest.mark.parametrize(("name", "text"), _templates())
def test_every_count_asked_for_has_its_plurals(name: str, text: str) -> None:
    for key in re.findall(r"""count\(\s*["']([a-z_.]+)["']""", text):
        for language, forms in PLURALS.items():
            assert {f for f in forms if f"{key}.{f}" in words.catalogue(language).sentences} == forms, (name, key)


@pytest.mark.parametrize(
    ("n", "form"),
    [(0, "many"), (1, "one"), (2, "few"), (5, "many"), (11, "many"), (12, "many"), (21, "one"), (104, "few")],
)
def test_russian_plurals(n: int, form: str) -> None:
    assert words.plural("ru", n) == form


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, "de-DE,de;q=0.9,ru;q=0.1", "ru"),
        (None, "en;q=0.2,ru;q=0.9", "ru"),
        (None, "ru;q=0,en", "en"),
        (None, "ru;q=nonsense", "en"),
        ("en", "ru", "en"),
        ("xx", "ru", "ru"),
    ],
)
def test_language_is_the_persons_choice_then_the_browsers(wanted: str | None, accepted: str, language: str) -> None:
    assert words.choose(wanted, accepted) == language


def test_every_code_of_the_engine_has_russian_words() -> None:
    assert not REGISTRY.keys() - words.catalogue("ru").group("statement").keys()


def test_english_repeats_no_word_of_the_engines_registry() -> None:
    assert not REGISTRY.keys() & words.catalogue("en").group("statement").keys()


def test_every_quality_issue_has_words() -> None:
    for language in words.LANGUAGES:
        assert not set(ISSUES) - words.catalogue(language).group("issue").keys()


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="de"):
        words.catalogue("de")


def test_times_are_shown_in_the_zone_with_its_name() -> None:
    at = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
    assert words.catalogue("en").moment(at, ZoneInfo("Asia/Almaty")).startswith("24 Nov 2026, 02:30")
    assert words.catalogue("ru").moment(at, ZoneInfo("UTC")) == "23.11.2026, 21:30 UTC"
    assert words.catalogue("ru").day(date(2026, 1, 2)) == "02.01.2026"
