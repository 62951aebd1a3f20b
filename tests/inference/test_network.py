"""The places where a network meets images: padding, the mirror image, counts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import dotcount
from dotcount.inference import counts
from dotcount.inference.runtimes import as_runtime
from dotcount.losses import valid_cells
from dotcount.models import create


class Own(nn.Module):
    """A user's network that has a stride and nothing else of ours: it looks at the pixel to the left as well."""

    def __init__(self) -> None:
        super().__init__()
        self.stride = 4

    def forward(self, images: Tensor) -> Tensor:
        images = nn.functional.pad(images, (0, -images.shape[-1] % 4, 0, -images.shape[-2] % 4))
        uneven = images + 0.5 * images.roll(1, -1)
        return nn.functional.avg_pool2d(uneven.mean(1, keepdim=True), 4)


def density_maps(model: nn.Module, images: Tensor, *, mirror: bool = False) -> Tensor:
    found = as_runtime(model).density(images.permute(0, 2, 3, 1).numpy(), mirror=mirror)
    return torch.from_numpy(found)[:, None]


def test_padding_does_not_count() -> None:
    density = torch.ones(2, 1, 3, 3)
    # Cells of 4 px: centres at 2, 6, 10; the image's last column or row needs a centre inside.
    assert counts(density, 4, [(9, 12), (11, 12)]).tolist() == [6, 9]


@pytest.mark.parametrize("size", [(8, 8), (9, 10), (1, 1), (11, 3), (7, 6)])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_counts_and_losses_leave_out_the_same_cells(size: tuple[int, int], stride: int) -> None:
    rows, columns = (-(-side // stride) for side in size)
    density = torch.rand(1, 1, rows, columns, generator=torch.Generator().manual_seed(0))
    y, x = ((torch.arange(n) + 0.5) * stride for n in (rows, columns))
    inside = (y < size[0])[:, None] & (x < size[1])
    torch.testing.assert_close(valid_cells(density, stride, [size])[0], inside)
    torch.testing.assert_close(counts(density, stride, [size])[0], density[0, 0][inside].double().sum())


@pytest.mark.parametrize("width", [32, 45])
def test_the_mirror_is_the_mean_with_the_mirror_image_of_the_padded_image(width: int) -> None:
    torch.manual_seed(0)
    model = create("compact", width=4).eval()
    images = torch.rand(2, 3, 32, width)
    # Padded to whole steps of the coarsest grid with what the network takes for grey.
    padded = torch.cat([images, model.mean.expand(2, 3, 32, -width % 32)], 3)
    with torch.no_grad():
        wanted = 0.5 * (model(padded) + model(padded.flip(-1)).flip(-1))[..., : -(-width // 4)]
    found = density_maps(model, images, mirror=True)
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(found, density_maps(model, images))
    assert not found.requires_grad
    if width % 32 == 0:
        torch.testing.assert_close(density_maps(model, images.flip(-1), mirror=True).flip(-1), found)


def test_the_mirror_works_with_a_network_that_only_has_a_stride() -> None:
    images = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    model = Own()
    found = density_maps(model, images, mirror=True)
    torch.testing.assert_close(found, 0.5 * (model(images) + model(images.flip(-1)).flip(-1)))
    assert density_maps(model, images[..., :13, :21], mirror=True).shape == (1, 1, 4, 6)
    assert not hasattr(model, "mirror")


CALLERS = {
    "inference/network.py": "the one place",
    "export/graph.py": "the tiles of an export, traced",
    "training/module.py": "a training step, with gradient",
    "training/measure.py": "the time of a training step",
    "models/base.py": "the trial of a user's module, see check_model",
}


def test_no_other_file_calls_a_network() -> None:
    """Calls of something named like a network with tensors of images, outside docstrings."""
    root = Path(dotcount.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) == 1:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                argument = ast.unparse(node.args[0])
                if name in ("model", "network", "average", "module") and re.search(r"image|pixel|rand|batch", argument):
                    found.add(path.relative_to(root).as_posix())
    assert found == set(CALLERS)
