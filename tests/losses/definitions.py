"""The losses published after the paper by their definitions, one cell, dot, frequency and block at a time. Slow."""

from __future__ import annotations

import cmath
import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar

STRIDE = 8.0


def case(seed, m, h=6, w=7, stride=STRIDE):
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(1, 1, h, w, generator=generator, dtype=torch.float64) * 0.4 + 0.01
    points = torch.rand(m, 2, generator=generator, dtype=torch.float64) * torch.tensor([w, h]) * stride
    return density, points


def cells(density, stride=STRIDE):
    """Yield (row, column, x, y, mass), all by the convention: centres at stride (k + 1/2)."""
    for r, row in enumerate(density[0, 0].tolist()):
        for c, mass in enumerate(row):
            yield r, c, stride * (c + 0.5), stride * (r + 0.5), mass


def bilinear(density, points):
    """Return the (x, y, share) of dots shared by the cell centres around them."""
    h, w = density.shape[-2:]
    shares = []
    for x, y in points.tolist():
        column = min(max(x / STRIDE - 0.5, 0), w - 1)
        row = min(max(y / STRIDE - 0.5, 0), h - 1)
        for r, down in ((math.floor(row), 1 - row % 1), (math.floor(row) + 1, row % 1)):
            for c, along in ((math.floor(column), 1 - column % 1), (math.floor(column) + 1, column % 1)):
                shares.append((STRIDE * (c + 0.5), STRIDE * (r + 0.5), down * along))
    return shares


def chfl(density, points, cutoff=0.3, step=0.01, domain="disc", norm="l1", placement="cells"):
    dots = bilinear(density, points) if placement == "cells" else [(x, y, 1.0) for x, y in points.tolist()]
    total, n = 0.0, int(cutoff / step + 1e-9)
    grid = [(a * step, b * step) for a in range(-n, n + 1) for b in range(-n, n + 1)]
    for s, t in grid:
        if domain == "disc" and math.hypot(s, t) > cutoff * (1 + 1e-6):
            continue
        value = sum(mass * cmath.exp(1j * (s * x + t * y)) for _, _, x, y, mass in cells(density))
        value -= sum(share * cmath.exp(1j * (s * x + t * y)) for x, y, share in dots)
        total += abs(value) * step**2 if norm == "l1" else abs(value) ** 2 * step**2
    return total if norm == "l1" else math.sqrt(total)


def regions(density, points):
    """Return, for each dot, the (index, distance, mass) of the cells that it is nearest to."""
    owned = [[] for _ in points]
    for k, (_, _, x, y, mass) in enumerate(cells(density)):
        distances = [math.dist((x, y), p) for p in points.tolist()]
        owned[distances.index(min(distances))].append((k, min(distances), mass))
    return owned


def home(density, point):
    """Return the index of the cell that holds a dot."""
    h, w = density.shape[-2:]
    x, y = point
    return min(max(int(y // STRIDE), 0), h - 1) * w + min(max(int(x // STRIDE), 0), w - 1)


def pml(density, points, weight=0.5, least_radius=32.0):
    if not len(points):
        return float(density.sum())
    owned = regions(density, points)
    targets = [1.0 if region else 0.0 for region in owned]
    for j, region in enumerate(owned):
        if not region:
            cell = home(density, points[j].tolist())
            targets[next(k for k, other in enumerate(owned) if cell in [c for c, _, _ in other])] += 1
    total = 0.0
    for region, target in zip(owned, targets):
        if region:
            radius = max(least_radius, max(d for _, d, _ in region))
            costs = [math.exp(d / radius) - 1 for _, d, _ in region]
            surplus = sum(mass for _, _, mass in region) - target
            moved = sum(cost * mass for cost, (_, _, mass) in zip(costs, region))
            total += abs(surplus) + weight * (moved - sum(costs) / len(costs) * surplus)
    return total


def p2r(density, points, min_radius=8.0, max_radius=96.0, distance_weight=8.0, positive_weight=1.0):
    mass = density.flatten().tolist()
    targets = [0] * len(mass)
    for j, region in enumerate(regions(density, points) if len(points) else []):
        near = [(k, d, u) for k, d, u in region if d < max_radius]
        if near:
            radius = min(max(max(d for _, d, _ in near), min_radius), max_radius)
            targets[min(near, key=lambda one: distance_weight * one[1] / radius - math.log(one[2]))[0]] += 1
        else:
            targets[home(density, points[j].tolist())] += 1
    return sum(positive_weight * (u - t - t * math.log(u / t)) if t else u for u, t in zip(mass, targets))


def zipped(density, points, block=16.0, count_weight=1.0, inflation=None):
    side = max(1, round(block / STRIDE))
    mass, dots = {}, {}
    for r, c, _, _, u in cells(density):
        mass[r // side, c // side] = mass.get((r // side, c // side), 0.0) + u
    w = density.shape[-1]
    for point in points.tolist():
        row, column = divmod(home(density, point), w)
        dots[row // side, column // side] = dots.get((row // side, column // side), 0) + 1

    def negative(pi):
        total = 0.0
        for key, u in mass.items():
            rate, y = u / (1 - pi), dots.get(key, 0)
            if y:
                best = y - y * math.log(y) + math.lgamma(y + 1)
                total += -math.log(1 - pi) + rate - y * math.log(rate) + math.lgamma(y + 1) - best
            else:
                total -= math.log(pi + (1 - pi) * math.exp(-rate))
        return total

    if inflation is None:
        starts = np.linspace(0, 0.98, 99)
        best = min(starts, key=negative)
        found = minimize_scalar(
            negative, bounds=(max(best - 0.01, 0), min(best + 0.01, 0.98)), method="bounded", options={"xatol": 1e-10}
        ).x
        inflation = min([found, best], key=negative)
    return negative(inflation) + count_weight * abs(float(density.sum()) - len(points))


CASES = [
    ("chfl", chfl, {}),
    ("chfl", chfl, {"cutoff": 0.2, "step": 0.02, "domain": "square", "placement": "exact"}),
    ("chfl", chfl, {"cutoff": 0.2, "step": 0.02, "norm": "l2"}),
    ("pml", pml, {}),
    ("pml", pml, {"weight": 0.2, "least_radius": 4.0}),
    ("p2r", p2r, {}),
    ("p2r", p2r, {"max_radius": 12.0, "distance_weight": 2.0, "positive_weight": 2.0}),
    ("zip", zipped, {}),
    ("zip", zipped, {"block": 24.0, "count_weight": 0.0, "inflation": 0.4}),
    ("zip", zipped, {"block": 8.0}),
]
"""Name of the loss, its definition, options."""


def problem(name, options, m):
    """Return a density and ``m`` dots on which the definition is quick enough."""
    return case(m, min(m, 5), 3, 4) if name == "chfl" and not options else case(m, m)
