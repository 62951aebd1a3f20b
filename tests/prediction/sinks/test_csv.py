import csv

from dotcount.prediction.frame import Frame


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_counts_points_errors_and_warnings(frame, write):
    warned = frame("16.tif")
    warned[0].warn("16-bit stretched 120..4095")
    warned[0].warn("page 1 of 30")
    out = write(
        "csv",
        frame('a, "b".png'),
        frame("none.png", xy=(), interval=None),
        (Frame("c.png", error="can't be decoded; replace it"), None),
        warned,
    )
    counts = rows(out / "counts.csv")
    assert list(counts[0]) == ["image", "count", "low", "high", "status", "error", "warning", "familiarity"]
    assert list(counts[0].values()) == ['a, "b".png', "0.3333", "0.5", "3", "ok", "", "", ""]
    assert (counts[1]["low"], counts[1]["high"]) == ("", "")
    assert list(counts[2].values()) == ["c.png", "", "", "", "error", "can't be decoded; replace it", "", ""]
    assert counts[3]["warning"] == "16-bit stretched 120..4095; page 1 of 30"
    assert rows(out / "points.csv")[0] == {"image": 'a, "b".png', "x": "1.5", "y": "2.25", "score": "0.9"}
    written = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert written == {"counts.csv", "points.csv", "prediction.json", "dotcount.json"}


def test_names_that_spreadsheets_would_run_are_harmless(frame, write):
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png"]
    out = write("csv", *(frame(name) for name in names))
    assert [row["image"] for row in rows(out / "counts.csv")] == [f"'{name}" for name in names]
    assert [row["image"] for row in rows(out / "points.csv")] == [f"'{name}" for name in names]
