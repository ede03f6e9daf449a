"""The style sheet that all pages share: colors stand in it alone, each for light and dark."""

import re

from malaria_exp.deployment.service.app import PAGE
from malaria_exp.evaluation.reports.templates import FOLDER, STYLE

COLOR = r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\("


def test_pages_name_colors_and_say_none():
    css = [
        part
        for path in FOLDER.glob("*.j2")
        for part in re.findall(r"{% block style %}.*?{% endblock %}|style=\".*?\"|fill=\".*?\"", path.read_text(), re.S)
    ]
    css += [path.read_text() for path in PAGE.glob("*.css")]
    assert len(css) > 6
    known = set(re.findall(r"(--[\w-]+):", STYLE.read_text()))
    for text in css:
        # #drop and #facts are ids: a color stands behind a colon or in quotes.
        assert not [value for value in re.findall(r'[:"]([^:;{}"]*)(?=[;}"])', text) if re.search(COLOR, value)]
        assert set(re.findall(r"var\((--[\w-]+)", text)) <= known


def test_the_dark_has_every_color_of_the_light():
    light, dark = re.findall(r":root {(.*?)}", STYLE.read_text(), re.S)
    same = {"--cell", "--plot", "--shade", "--mono"}
    assert set(re.findall(r"(--[\w-]+):", light)) - same == set(re.findall(r"(--[\w-]+):", dark))


def test_a_keyboard_reaches_all_that_scrolls():
    """As axe asks where the screen is narrow: what scrolls takes the focus and says what it is."""
    for path in FOLDER.glob("*.j2"):
        for tag in re.findall(r'<div class="scroll"[^>]*>', path.read_text()):
            assert 'tabindex="0" role="group" aria-label="' in tag, path.name
