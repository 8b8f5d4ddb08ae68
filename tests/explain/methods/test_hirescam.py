"""HiResCAM by its definition."""

from cnncli.explain.methods import METHODS

from .conftest import Plain, close, picks


def test_values_times_gradients(asked):
    plain, of = Plain(asked().model.network), asked()
    found = METHODS["hirescam"].compute(of)
    close(found.maps, (plain.before(of.images) * plain.by_layer(picks(of))).sum(axis=3))
    assert found.maps.min() < 0 < found.maps.max()
