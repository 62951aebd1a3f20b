import json

from dotcount.prediction.frame import Frame


def test_one_object_an_image(frame, write):
    out = write("jsonl", frame("film.mp4#12", time=0.5), (Frame("é.png", error="broken"), None))
    first, second = map(json.loads, (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines())
    assert (first["image"], first["status"], first["interval"], first["time"]) == ("film.mp4#12", "ok", [0.5, 3], 0.5)
    assert (first["points"], first["scores"], first["width"]) == ([[1.5, 2.25]], [0.9], 12)
    assert second == {"image": "é.png", "status": "error", "error": "broken", "warnings": []}
