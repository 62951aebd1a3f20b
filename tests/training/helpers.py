def rows_without_times(run):
    """Return metrics.csv as lists of text, the columns of wall-clock times left out."""
    header, *rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(header) if name not in ("seconds", "validation_seconds", "elapsed")]
    return [[row[i] for i in kept] for row in (header, *rows)]
