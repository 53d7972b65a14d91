"""No text that a model can send runs, calls home, or moves a terminal."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import answer, call, failed, item, run

from orchestrator_nb.calls import Delta, Started, ThinkingDelta
from orchestrator_nb.results.estimate import Estimate, Share
from orchestrator_nb.results.frames import frame
from orchestrator_nb.results.progress import Progress
from orchestrator_nb.results.reply import Reply
from orchestrator_nb.results.safe_text import RENDER_CAP, TAGS, escape, plain, safe_html, whole
from orchestrator_nb.results.summary import summary
from orchestrator_nb.results.view import view

PAYLOADS = json.loads(Path(__file__).with_name("xss_payloads.json").read_text())["payloads"]
OURS = {
    "div",
    "style",
    "details",
    "summary",
    "table",
    "caption",
    "progress",
    "ul",
    "li",
    "th",
    "td",
    "tr",
    "thead",
    "tbody",
    "span",
}
ALLOWED = {"href", "title", "rel", "start", "class", "dir", "scope", "role", "aria-live", "aria-label", "max", "value"}


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.links, self.styles, self.text = [], [], [], [], ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        if self._inside == "style":
            self.styles.append(data)
        else:
            self.text += data

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_comment(self, data):
        self.tags.append("!--")


def hostile(name, number=7):
    return PAYLOADS[name].replace("{K}", str(number)).replace("{B}", "http://127.0.0.1:9")


def assert_harmless(page, tags):
    seen = Page(page)
    assert set(seen.tags) <= tags
    assert set(seen.attributes) <= ALLOWED
    assert all(re.match(r"(https?:|mailto:)", link) for link in seen.links)
    assert all("import" not in style and "url(" not in style for style in seen.styles)


def pictures(text):
    """Every way in which our code shows a text, as prompt, answer, thought, model name, and error."""
    done = call(item(text, inputs={"x": text}), answer(text, model=text, thinking=text, notices=(text,)))
    broken = failed(item(text), message=text)
    yield Reply(run(done)).html
    yield Reply(run(call(error=broken.error))).html
    yield view(run(done)).html
    yield view(run(done, broken, notices=(text,))).html
    yield summary(run(done, broken, notices=(text,))).html
    yield Estimate((Share(text, new=2), Share(text, new=2, usd=None)), source=text, assumptions=(text,)).html
    yield frame(run(done, broken)).llm.compare().html
    for copies in (1, 2, 99):
        live = Progress([item(text)] * copies)
        for event in (Started(), ThinkingDelta(text), Delta(text), broken):
            live.feed(0, event)
            yield live.html()
    yield frame(run(done, broken)).to_html()


def test_there_are_enough_payloads():
    assert len(PAYLOADS) >= 34


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_hostile_text_is_harmless_as_an_answer(name):
    assert_harmless(safe_html(hostile(name)), TAGS | {"div"})


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_hostile_text_is_harmless_in_every_picture(name):
    for page in pictures(hostile(name)):
        # what pandas itself writes around a frame
        bare = re.sub(r'(?<=<table) border="1"|(?<=<tr) style="text-align: right;"', "", page)
        assert_harmless(bare, TAGS | OURS)


FRAGMENTS = st.lists(
    st.sampled_from([
        "<", ">", "</", "/>", "script", "img", "src=", "onerror=", "x", '"', "'", "`", "&", "&lt;", "&#60;", "#", "javascript:", "data:", "(", ")", "[", "]", "!",
        "\n", "\n\n", "|", "-", "*", "~~", "\\", "<a href=", "<svg onload=", "<!--", "-->", "http://h/", "mailto:a@b", "$", "\\href{", "}", "\0", "\x1b]8;;", "\u202e",
        "<style>", "</style>", "<details open>", "data-commandlinker-command=", " ",
    ]) | st.text(max_size=3),
    max_size=40,
).map("".join)  # fmt: skip


@given(FRAGMENTS)
def test_nothing_outside_the_allow_list_comes_out_whatever_goes_in(text):
    assert_harmless(safe_html(text), TAGS | {"div"})


def test_ordinary_markdown_is_shown():
    page = safe_html(
        "# T\n\n**b** *i* ~~s~~ `c`\n\n- x\n\n|a|b|\n|-|-|\n|1|2|\n\n[l](https://example.org) <mailto:a@b.c>"
    )
    for part in (
        "<h1>",
        "<strong>b",
        "<em>i",
        "<s>s",
        "<code>c",
        "<li>x",
        "<th>a",
        "<td>2",
        'href="https://example.org"',
    ):
        assert part in page
    assert 'rel="noopener noreferrer"' in page


def test_html_in_an_answer_is_shown_as_text():
    assert "&lt;b&gt;x&lt;/b&gt;" in safe_html("<b>x</b>")


def test_an_image_is_a_link_that_names_its_host():
    page = safe_html("![cat](https://example.org/secret?q=1)")
    assert ">[image: example.org]</a>" in page
    assert "<img" not in page
    assert "[image: data]" in safe_html("![x](data:image/png;base64,AAAA)")


@pytest.mark.parametrize("name", [name for name in PAYLOADS if name.startswith("mathjax")])
def test_math_that_could_make_links_or_load_extensions_is_not_typeset(name):
    assert "mathjax_ignore" in safe_html(hostile(name)) or "href" not in hostile(name)


def test_ordinary_math_is_left_to_the_notebook():
    assert "mathjax_ignore" not in safe_html(r"$\frac{a}{b}$ and $\left(x\right)$")


def test_money_in_a_summary_is_never_math():
    assert "mathjax_ignore" in summary(run(call())).html


def test_a_very_long_answer_is_cut_and_says_so():
    page = safe_html("word " * (RENDER_CAP // 4))
    assert f"{RENDER_CAP // 4:,} more characters" in page
    assert len(page) < 1.2 * RENDER_CAP


@given(st.text(st.characters(codec=None, categories=None)) | FRAGMENTS)
def test_plain_text_holds_no_control_sequence_and_can_always_be_written(text):
    shown = plain(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]", shown)
    shown.encode()
    escape(text).encode()
    safe_html(text).encode()


def test_plain_text_loses_colours_titles_and_links_and_keeps_words_lines_and_tabs():
    assert (
        plain("\x1b[1;31mred\x1b[0m\tx\r\n\x1b]0;title\x07y \x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\ \x9b2Jz")
        == "red\tx\ny link z"
    )


def test_an_unfinished_sequence_takes_no_more_than_its_line():
    assert plain("a\x1b]0;title\nb") == "a\nb"


@given(st.text())
def test_whole_text_is_left_as_it_is(text):
    assert whole(text) == text
