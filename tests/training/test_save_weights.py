import errno

import numpy as np
import pytest

from malaria_exp.config.registry import build
from malaria_exp.training.save_weights import save_weights
from malaria_exp.utils.errors import DiskFullError


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    one, two = (build("model", "cellnet", {"image_size": 16, "stem": 4, "widths": [4]}) for _ in range(2))
    path = tmp_path / "a.weights.h5"
    save_weights(one, path)
    two.load_weights(path)
    for mine, theirs in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    written = path.read_bytes()
    monkeypatch.setattr("malaria_exp.utils.atomic_files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(DiskFullError, match=r"a\.weights\.h5"):
        save_weights(two, path)
    assert path.read_bytes() == written
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
