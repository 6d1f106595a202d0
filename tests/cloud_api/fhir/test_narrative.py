"""Narratives: words are let through, what runs or fetches is refused."""

from __future__ import annotations

import pytest
from feldsher_cloud_api.fhir.narrative import fault

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


@pytest.mark.parametrize(
    "inside",
    [
        "plain &amp; simple &#160;&nbsp;°",
        "<p class='a'><b>x</b><a href='Patient/1'>y</a><a href='https://x.org/?a=b'>z</a><a href='#top'>t</a></p>",
        "<table border='1'><tbody><tr><td style='color: red; width: 3px'>1</td></tr></tbody></table>",
        "<img src='data:image/png;base64,AAAA' alt='x'/>",
        "<!-- a comment --> x",
    ],
)
def test_words_are_let_through(inside: str) -> None:
    assert fault(DIV.format(inside)) is None


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<p onclick='alert(1)'>x</p>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' javascript:alert(1)'>x</a>",
        "<a href='&#106;avascript:alert(1)'>x</a>",
        "<img src='data:text/html;base64,AAAA'/>",
        "<img src='//evil.example/x'/>",
        "<p style='background: url(http://evil.example/x)'>x</p>",
        "<p style='background: u\\72l(http://evil.example/x)'>x</p>",
        "<p style='width: expression(alert(1))'>x</p>",
        "<iframe src='x'/>",
        "<object data='x'/>",
        "<form action='x'/>",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>",
        "<style>p {}</style>",
        "<link rel='stylesheet' href='x'/>",
        "<p>x",
        "&unknown;",
        "<![CDATA[x]]>",
        "<?php x ?>",
    ],
)
def test_what_runs_or_fetches_is_refused(inside: str) -> None:
    assert fault(DIV.format(inside)) is not None


@pytest.mark.parametrize(
    "div",
    [
        "words",
        "<div>x</div>",
        "<p xmlns='http://www.w3.org/1999/xhtml'>x</p>",
        "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + DIV.format("&a;"),
    ],
)
def test_a_narrative_is_one_xhtml_div(div: str) -> None:
    assert fault(div) is not None
