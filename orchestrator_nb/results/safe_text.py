"""Model text on a screen. Everything a model, a server or a data set says passes here before it becomes HTML or reaches a terminal.

JupyterLab trusts the output of a cell that was just run, so script in it would run, in a page that can drive the kernel. Hence: Markdown is parsed with HTML
switched off, then an allow-list keeps a few harmless elements (https://nh3.readthedocs.io), and images become links, because fetching one already tells its
server something. Math stays (Lab typesets ``$…$``) unless it uses a macro that can make links, load extensions or define macros.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

RENDER_CAP: Final = 100_000
"""Characters of one text that are rendered; the rest is named, and stays in the frame."""

_INLINE, _BLOCKS = ("br", "em", "strong", "s", "code", "a"), ("p", "hr", "pre", "blockquote", "ul", "ol", "li")
_HEADINGS, _TABLE = ("h1", "h2", "h3", "h4", "h5", "h6"), ("table", "thead", "tbody", "tr", "th", "td")
TAGS: Final = frozenset(_INLINE + _BLOCKS + _HEADINGS + _TABLE)
_ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES: Final = {"http", "https", "mailto"}

NO_MATH: Final = "mathjax_ignore tex2jax_ignore"
"""Class names that keep MathJax 3 and 2 out of an element, so that ``$5 … $6`` stays money. https://docs.mathjax.org/en/latest/options/document.html"""

_MACROS: Final = re.compile(
    r"\\\s*(?:href|url|unicode|require|class|style|cssId|data|html\w*|mmlToken|include\w*|(?:re)?newcommand|newenvironment|renewenvironment"
    r"|[gex]?def|let|csname|begingroup|toggle|texttip|tooltip|bbox|Newextarrow|DeclareMathOperator|action|error)"
)


def safe_html(text: str) -> str:
    """Markdown as HTML that is safe to publish as ``text/html``. At most `RENDER_CAP` characters are rendered, and the rest is mentioned."""
    body = _clean(_markdown().render(_tidy(text[:RENDER_CAP])))
    left = len(text) - RENDER_CAP
    more = f'<p class="onb-more">… {left:,} more characters; the frame has the whole text.</p>' if left > 0 else ""
    math = f" {NO_MATH}" if _MACROS.search(html.unescape(re.sub(r"<[^>]*>", "", body))) else ""
    return f'<div class="onb-answer{math}" dir="auto">{body}{more}</div>'


def escape(text: str) -> str:
    """Text as it is, for HTML: nothing in it means anything."""
    return html.escape(_tidy(text))


def plain(text: str) -> str:
    """Text for a terminal: colours, cursor moves, titles, links (ANSI and OSC), control and bidi characters are taken out; line breaks and tabs stay."""
    return _tidy(_CONTROL.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n"))))


def whole(text: str) -> str:
    """Text without lone surrogates: pairs are joined, a half becomes U+FFFD. No file and no socket could take a half."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _tidy(text: str) -> str:
    return _BIDI.sub("", _HIDDEN.sub("", whole(text)))


_HIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BIDI: Final = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # https://trojansource.codes
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SEQUENCE: Final = re.compile(  # https://ecma-international.org/publications-and-standards/standards/ecma-48/
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours and cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS and their kin: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"
)


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    """Loaded when the first answer is shown, not when the extension is loaded."""
    from markdown_it import MarkdownIt  # 20 ms

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    return parser


def _image(_self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    """An image as a link to it; the reader decides whether its server hears from them."""
    token = tokens[index]
    address, name = str(token.attrGet("src") or ""), token.content
    shown = html.escape(f"[image: {_host(address)}]")
    if _scheme(address) not in ("http", "https"):
        return shown
    return f'<a href="{html.escape(address)}" title="{html.escape(name)}">{shown}</a>'


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return "?"
    return parts.hostname or parts.scheme or "local file"


def _scheme(address: str) -> str:
    try:
        return urlsplit(address).scheme.lower()
    except ValueError:
        return ""


def _clean(page: str) -> str:
    import nh3  # loaded with the first answer, as above

    return nh3.clean(
        page,
        tags=set(TAGS),
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
        strip_comments=True,
    )
