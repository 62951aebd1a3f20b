"""Adds dots to a data set, one after the other, and tells each that is confirmed; to be killed at any moment."""

from __future__ import annotations

import sys

from dotcount.data.editing import Edit, open_annotations

folder, first = sys.argv[1], int(sys.argv[2])
with open_annotations(folder) as annotations:
    names = list(annotations.images)
    marks = {name: annotations.marks(name) for name in names}
    print("ready", flush=True)
    for k in range(first, first + 100_000):
        name = names[k % len(names)]
        number = max(marks[name].by_number, default=-1) + 1
        edit = Edit("add", number, 1 + k % 600, 1 + k // 600)
        marks[name] = annotations.edit(name, marks[name].version, [edit])
        print(k, flush=True)
