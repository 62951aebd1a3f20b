"""What can be measured of a page's looks, in a real browser: nothing is cut, everything can be read, focus is seen."""

from __future__ import annotations

import re

from dotcount.theme import THEME

TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > width) found.push(`the page: ${document.documentElement.scrollWidth}`);
  for (const one of document.querySelectorAll("body *:not(svg *)")) {
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (!box.width || one.closest(".unseen")) continue;
    if (box.right > width + 1) found.push(`${one.tagName} ${one.className}: ${box.right}`);
    if (style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1) {
      found.push(`${one.tagName} ${one.className} scrolls: ${one.scrollWidth}`);
    }
  }
  return found;
}"""
"""Returns what is wider than the window, or scrolls sideways."""

FAINT = """(least) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((k) => top[k] * top[3] + below[k] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paint = (one) => rgba(getComputedStyle(one).backgroundColor);
  const ground = (one) => (one ? over(paint(one), ground(one.parentElement)) : [255, 255, 255, 1]);
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
    if (!text || /^(SCRIPT|STYLE|OPTION)$/.test(one.tagName) || one.closest(":disabled, .unseen")) continue;
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const below = ground(one);
    const style = getComputedStyle(one);
    const ink = over(rgba(one instanceof SVGElement ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) found.add(`${one.tagName} ${one.className} "${text.slice(0, 30)}": ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""
"""Returns the texts whose contrast with what is behind them is less than so much (WCAG 2: 4.5)."""

UNSEEN_FOCUS = """() => {
  const found = [], all = "a[href], button:enabled, input:enabled, select, summary, [tabindex='0']";
  for (const one of document.querySelectorAll(all)) {
    if (!one.checkVisibility()) continue;
    one.focus({ focusVisible: true, preventScroll: true });
    const styles = [one, one.closest(".button") ?? one].map((each) => getComputedStyle(each));
    if (!styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)) {
      found.push(`${one.tagName} ${one.id} ${one.className} ${one.textContent.trim().slice(0, 20)}`);
    }
  }
  return found;
}"""
"""Returns what takes the focus of the keyboard without an outline."""


def faults(page) -> list[str]:
    """Return everything that is wrong with how a page looks in its present window and mode."""
    return [*page.evaluate(TOO_WIDE), *page.evaluate(FAINT, 4.5), *page.evaluate(UNSEEN_FOCUS)]


def palettes() -> list[dict[str, str]]:
    """Return the colours of the theme: of the light, the dark and the printed page."""
    blocks = re.findall(r":root \{(.*?)\}", THEME.read_text(encoding="utf-8"), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def contrast(one: str, other: str) -> float:
    """Return the ratio of contrast of two colours (WCAG 2)."""
    low, high = sorted((_light(one), _light(other)))
    return (high + 0.05) / (low + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear))
