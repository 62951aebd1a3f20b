import errno

import numpy as np
import pytest

from dotcount.errors import AnnotationError, ImageReadError
from dotcount.prediction.frame import Frame, error_text, printable


def zeros(calls):
    def read():
        calls.append(1)
        return np.zeros((4, 6, 3), np.uint8), ["page 1 of 30"]

    return read


def test_pixels_are_read_once_and_late():
    calls = []
    frame = Frame("a.png", zeros(calls))
    assert calls == []
    assert frame.pixels is frame.load().pixels
    assert frame.display.dtype == np.uint8
    assert (calls, frame.warnings, frame.status) == ([1], ["page 1 of 30"], "ok")
    frame.release()
    with pytest.raises(ImageReadError, match=r"a\.png are gone"):
        frame.pixels  # noqa: B018


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("tag"), "KeyError"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "choose a smaller `tile`"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "choose a smaller `tile`"),
        (UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed"), "surrogates"),
        (AnnotationError("one\nline"), "one line"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_whatever_a_decoder_raises_becomes_the_error_of_its_frame(error, words):
    def read():
        raise error

    frame = Frame("a.png", read).load()
    assert frame.status == "error"
    assert words in frame.error
    assert "\n" not in frame.error
    with pytest.raises(ImageReadError):
        frame.pixels  # noqa: B018


def test_interruption_is_no_error_of_a_frame():
    def read():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Frame("a.png", read).load()


def test_a_frame_has_either_pixels_or_an_error():
    assert Frame("a", error="broken").load().error == "broken"
    for given in ({}, {"read": zeros([]), "error": "x"}):
        with pytest.raises(ValueError, match="either"):
            Frame("a", **given)


def test_every_text_can_be_written():
    assert printable("é \udce9 \ud800") == "é \\xe9 \\ud800" or printable("\udce9") == "\\xe9"
    printable("\ud800").encode()
    error_text(ValueError("\udce9")).encode()
