"""training/whitening.py: the layers that whiten what they see of images themselves are fitted to some of these, evenly
chosen, and no others."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.network import INPUT
from cnncli.training import whitening


def layer(fits: bool) -> Any:
    return SimpleNamespace(fits_images=fits, fitted=[])


@pytest.mark.parametrize(("images", "taken"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (7, [0, 2, 4, 6])])
def test_first_layers_are_fitted_to_images_evenly_chosen(images: int, taken: list[int],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    assert whitening.IMAGES == 5000
    monkeypatch.setattr(whitening, "IMAGES", 4)
    first, second, plain = layer(True), layer(True), layer(False)
    for each in (first, second, plain):
        each.fit = each.fitted.append
    nodes = [SimpleNamespace(layer=first, inputs=(INPUT,)), SimpleNamespace(layer=second, inputs=("first",)),
             SimpleNamespace(layer=plain, inputs=(INPUT,))]
    told: list[int] = []
    network: Any = SimpleNamespace(nodes=nodes, changed=lambda: told.append(len(first.fitted)))

    class Images:
        def __len__(self) -> int:
            return images

        def pixels(self, indices: np.ndarray) -> np.ndarray:
            return 10 * indices

    preprocessing: Any = SimpleNamespace(normalise=lambda pixels: pixels + 1)
    assert whitening.fit_whitening(network, Images(), preprocessing)  # type: ignore[arg-type]
    assert [each.tolist() for each in first.fitted] == [[10 * i + 1 for i in taken]]
    assert (second.fitted, plain.fitted, told) == ([], [], [1])
    network.nodes = nodes[1:]
    assert not whitening.fit_whitening(network, None, preprocessing)  # type: ignore[arg-type]
