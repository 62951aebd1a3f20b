"""Slow, obvious versions of the metrics, written from their definitions."""

from __future__ import annotations

import itertools

import numpy as np


def greedy_counts(predicted, points, thresholds):
    """True positives at each threshold: a matching of its own for every threshold, by scanning for the nearest pair."""
    counts = []
    for threshold in thresholds:
        free_predicted, free_points = set(range(len(predicted))), set(range(len(points)))
        matched = 0
        while True:
            best = None
            for d in sorted(free_points):
                for g in sorted(free_predicted):
                    squared = float(((predicted[g] - points[d]) ** 2).sum())
                    if squared <= threshold * threshold and (best is None or squared < best[0]):
                        best = (squared, d, g)
            if best is None:
                break
            free_points.remove(best[1])
            free_predicted.remove(best[2])
            matched += 1
        counts.append(matched)
    return counts


def largest_matching(predicted, points, sigma):
    """Size of the largest one-to-one matching within sigma (m,), by augmenting paths."""
    within = [
        [g for g in range(len(predicted)) if ((predicted[g] - points[d]) ** 2).sum() <= sigma[d] ** 2]
        for d in range(len(points))
    ]
    owner = {}

    def augment(d, seen):
        for g in within[d]:
            if g not in seen:
                seen.add(g)
                if g not in owner or augment(owner[g], seen):
                    owner[g] = d
                    return True
        return False

    return sum(augment(d, set()) for d in range(len(points)))


def game(density, points, stride, height, width, level):
    """GAME(L) with every cell cut into 1 x 1 px pieces; regions must end on whole pixels."""
    fine = np.zeros((height, width))
    for r, c in itertools.product(*map(range, density.shape)):
        block = fine[r * stride : (r + 1) * stride, c * stride : (c + 1) * stride]
        if block.size:
            block += density[r, c] / block.size
    parts, total = 2**level, 0.0
    for a, b in itertools.product(range(parts), repeat=2):
        y0, y1 = a * height // parts, (a + 1) * height // parts
        x0, x1 = b * width // parts, (b + 1) * width // parts
        true = sum(1 for x, y in points if x0 <= x < x1 and y0 <= y < y1)
        total += abs(fine[y0:y1, x0:x1].sum() - true)
    return total


def nms_peaks(density, threshold):
    """(x, y, score) of every local maximum of 3 x 3 cells, cell by cell, at stride 1."""
    h, w = density.shape
    padded = np.pad(density, 1)
    kernel = np.outer([0.25, 1, 0.25], [0.25, 1, 0.25])
    smooth = np.array([[(padded[r : r + 3, c : c + 3] * kernel).sum() for c in range(w)] for r in range(h)]).round(12)
    key = {(r, c): (density[r, c], smooth[r, c], -(r * w + c)) for r in range(h) for c in range(w)}

    def window(r, c):
        return [(i, j) for i in range(r - 1, r + 2) for j in range(c - 1, c + 2) if (i, j) in key]

    found = [cell for cell in key if density[cell] > 0 and key[cell] == max(key[other] for other in window(*cell))]
    result = []
    for peak in found:
        parts = {}
        for cell in window(*peak):
            claims = sum(density[other] for other in found if other in window(*cell))
            parts[cell] = density[cell] * density[peak] / claims
        mass = sum(parts.values())
        if mass >= threshold:
            x = sum(part * (c + 0.5) for (_, c), part in parts.items()) / mass
            y = sum(part * (r + 0.5) for (r, _), part in parts.items()) / mass
            result.append((x, y, mass))
    return result
