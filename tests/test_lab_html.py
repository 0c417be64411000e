"""The report of pynn.lab.compare as HTML: its content and accessibility, and how a browser renders it."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from markup import parsed

import pynn
from pynn.datasets import load_digits
from pynn.lab import Report, compare
from pynn.lab._colors import ON_BLACK, ON_WHITE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOT_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--hide-scrollbars")


@pytest.fixture(scope="module")
def report() -> Report:
    X, y = load_digits()
    named = [("<i>&", "relu"), "sigmoid", pynn.LeakyReLU(0.1)]
    return compare(X, y, activations=named, hidden=(16,) * 8, epochs=3, seeds=8, tune=None, lr=3e-3, verbose=False)


@pytest.fixture(scope="module", params=["en", "vi"])
def page(request: pytest.FixtureRequest, report: Report) -> str:
    return report.to_html(lang=request.param)


def test_page_is_one_small_file_that_loads_nothing(page: str) -> None:
    assert len(page.encode()) < 2e6
    assert not re.findall(r"https?:|//[a-z]|<script|@import|url\(", page)
    sources = [a for _, a in parsed(page).found if "src" in a or "href" in a]
    assert sources == [{"rel": "icon", "href": "data:,"}]


def test_page_shows_protocol_and_results(report: Report, page: str) -> None:
    lang = "vi" if 'lang="vi"' in page else "en"
    plain = re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.S).replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'")
    plain = plain.replace("&quot;", '"').replace("&amp;", "&")
    for sentence in [*report.summary(lang), *report.protocol_lines(lang)]:
        assert sentence in plain
    assert report.protocol["digest"] in plain
    assert report.protocol["call"] in plain
    assert report.protocol["versions"]["numpy"] in plain
    assert "sigmoid" in plain
    assert "<i>&" in plain
    assert "<i>" not in page


def test_pictures_have_text_alternatives_and_tables_have_headers(report: Report, page: str) -> None:
    tags = parsed(page)
    pictures = [a for tag, a in tags.found if tag == "svg"]
    assert len(pictures) == 2 * len(report) + 10
    assert all(a["role"] == "img" and a["aria-label"] for a in pictures)
    assert all(a.get("scope") in ("row", "col") for tag, a in tags.found if tag == "th")
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for tag, a in tags.found if a.get("class") == "wide")
    assert dict(tags.found)["html"]["lang"] in ("en", "vi")
    assert page.count('class="seed"') == 8 * len(report)
    levels = [int(tag[1]) for tag, _ in tags.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_fragment_is_for_notebooks(report: Report) -> None:
    fragment = report._repr_html_()
    parsed(fragment)
    assert fragment.startswith("<style>")
    assert "<html" not in fragment
    assert report.summary()[0] in fragment.replace("&lt;", "<").replace("&amp;", "&").replace("&gt;", ">")
    css = re.sub(r"@media[^{]*\{((?:[^{}]*\{[^{}]*\})*)\}", r"\1", fragment.split("</style>")[0][7:])
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", css)
    assert selectors
    assert all(".pynn-lab" in selector for selector in selectors)


def test_page_is_written_and_unknown_languages_are_rejected(report: Report, tmp_path: Path) -> None:
    assert report.to_html(tmp_path / "r.html") == (tmp_path / "r.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="unknown lang 'xyz'; known: en, vi"):
        report.to_html(lang="xyz")
    assert report.to_html() == Report.from_json(report.to_json()).to_html()


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_enough_contrast_in_light_and_dark(page: str) -> None:
    """WCAG 2 requires a contrast of 4.5 between text and background."""
    light, dark = re.findall(r"--fg:(#\w+);--bg:(#\w+);--dim:(#\w+);", page)[:2]

    def full(color: str) -> str:
        return color if len(color) == 7 else "#" + "".join(2 * c for c in color[1:])

    for (fg, bg, dim), colors in ((light, ON_WHITE), (dark, ON_BLACK)):
        for color in (fg, dim, *colors):
            assert contrast(full(color), full(bg)) >= 4.5


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_browser_shows_the_page_without_errors(page: str, width: int, mode: str, tmp_path: Path) -> None:
    """Show the page in a frame of the given width, since a window of Chromium is at least 500 pixels wide."""
    probe = """<script>const d = document, r = s => [...d.querySelectorAll(s)].map(e => e.getBoundingClientRect());
parent.postMessage(JSON.stringify({over: d.documentElement.scrollWidth - innerWidth,
charts: r("svg.chart").filter(b => b.width < 200 || b.height < 90).length,
dark: matchMedia("(prefers-color-scheme: dark)").matches, ground: getComputedStyle(d.body).backgroundColor,
text: getComputedStyle(d.querySelector("main")).color, width: innerWidth}), "*")</script></body>"""
    (tmp_path / "page.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    file = tmp_path / "frame.html"
    frame = f'<iframe src="page.html" width="{width}" height="900" style="border: 0"></iframe>'
    file.write_text(f"<title></title><script>onmessage = e => {{ document.title = e.data }}</script>{frame}", encoding="utf-8")
    color_scheme = f"--blink-settings=preferredColorScheme={int(mode == 'light')}"
    options = [*ROOT_OPTIONS, "--window-size=1500,1000", "--virtual-time-budget=5000", color_scheme]
    command = [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None
    seen = json.loads(title[1])
    assert seen["width"] == width
    assert seen["over"] <= 0
    assert seen["charts"] == 0
    assert seen["dark"] == (mode == "dark")
    assert seen["ground"] == ("rgb(17, 17, 17)" if mode == "dark" else "rgb(255, 255, 255)")
    assert seen["text"] == ("rgb(228, 228, 228)" if mode == "dark" else "rgb(34, 34, 34)")
