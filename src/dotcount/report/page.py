"""What all pages share: one base template, one style sheet, numbers for people, pictures inside the file."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from dotcount.files import write_text
from dotcount.report.heat import HeatScale, heat_gradient
from dotcount.theme import THEME

_MARKUP = re.compile(r"(<style.*?</style>|<script.*?</script>|<[^>]*>)", re.DOTALL)


def render_page(template: str, **parts: Any) -> str:
    """Return a page as HTML text that refers to nothing outside itself.

    Parameters
    ----------
    template
        File in ``templates/`` that extends ``base.html.j2``.
    parts
        What it shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dotcount.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "signed": signed, "breakable": breakable}
    environment.globals |= {"heat_gradient": heat_gradient(), "theme": Markup(THEME.read_text(encoding="utf-8"))}
    return _with_units(environment.get_template(template).render(**parts))


def _with_units(page: str) -> str:
    """Return the page with all percentages written one way, and numbers on one line with their unit.

    Only what is read changes: not tags, styles or scripts.
    """
    parts = _MARKUP.split(page)
    parts[::2] = [re.sub(r"(?<=\d) ?(?=%(?!\.?\w))|(?<=\d) (?=px)", "\u00a0", text) for text in parts[::2]]
    return "".join(parts)


def write_page(path: Path, text: str) -> None:
    """Write a page in one step."""
    write_text(path, text)


def number(value: object, digits: int = 1) -> str:
    """Return a number for people: thousands grouped, ``digits`` decimals, a dash for what is absent."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    text = f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: object, digits: int = 1) -> str:
    """Return a number with its sign, as :func:`number` writes it."""
    text = number(value, digits)
    return "+" + text if isinstance(value, (int, float)) and value > 0 and text.strip("0.,") else text


def breakable(text: object) -> Markup:
    """Return text that may be broken after the separators of file names, and nowhere else if that suffices."""
    parts = re.split(r"(?<=[/\\_\-,;])(?=[^\s])", str(text))
    return Markup("<wbr>").join(escape(part) for part in parts)


def data_uri(image: Image.Image, quality: int = 82) -> str:
    """Return a picture as text, ready for ``src``."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclass(frozen=True)
class Panel:
    """A picture as a data URI with its size, its caption and the scale of its colours."""

    source: str
    width: int
    height: int
    caption: str
    scale: HeatScale | None = None

    @classmethod
    def of(cls, image: Image.Image, caption: str, scale: HeatScale | None = None, quality: int = 82) -> Panel:
        """Encode a picture."""
        return cls(data_uri(image, quality), image.width, image.height, caption, scale)
