"""Whatever names images, their names and bytes are the same; what is no image is a reason of one row, or one clear message."""

import zipfile

import numpy as np
import pytest
from conftest import png_bytes

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.deployment.image_sources import open_images
from malaria_exp.utils.errors import ConfigError, DataError

CELL = png_bytes(np.zeros((4, 4, 3), np.uint8))
TREE = {"a.png": CELL, "deep/er/b.JPG": b"other", "deep/notes.txt": b"words"}


@pytest.fixture
def folder(tmp_path):
    """A folder of two images, one further down, and a text."""
    for name, data in TREE.items():
        (tmp_path / "cells" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cells" / name).write_bytes(data)
    return tmp_path / "cells"


def contents(images):
    with open_images(images) as found:
        return {name: found.read(index) for index, name in enumerate(found.names)}


def test_a_folder_a_zip_a_glob_a_list_and_a_url_give_the_same_images(folder, tmp_path):
    import fsspec

    whole = {name: data for name, data in TREE.items() if not name.endswith(".txt")}
    assert contents(str(folder)) == contents(f"file://{folder}") == whole
    with open_images(str(folder)) as found:
        assert found.ignored == 1
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        for name, data in TREE.items():
            archive.writestr(name, data)
    (tmp_path / "no_ending").write_bytes((tmp_path / "cells.zip").read_bytes())
    assert contents(str(tmp_path / "cells.zip")) == contents(str(tmp_path / "no_ending")) == whole
    assert contents(f"{folder}/**/*.[pJ]*") == {str(folder / name): data for name, data in whole.items()}
    (tmp_path / "list.txt").write_text("cells/a.png\n\n" + str(folder / "deep/er/b.JPG") + "\ncells/none.png\n")
    with open_images(str(tmp_path / "list.txt")) as found:
        assert [found.read(0), found.read(1)] == list(whole.values())
        with pytest.raises(BadImageError, match="No such file"):
            found.read(2)
    url = f"memory://{tmp_path.name}/cells"
    fsspec.filesystem("memory").put(str(folder), f"/{tmp_path.name}/cells", recursive=True)
    fsspec.filesystem("memory").put(str(tmp_path / "cells.zip"), f"/{tmp_path.name}/cells.zip")
    assert contents(url) == contents(f"{url}/") == contents(f"{url}.zip") == whole
    (tmp_path / "remote.txt").write_text(f"cells/a.png\n{url}/deep/er/b.JPG\n{folder}/a.png\nfile://{folder}/a.png\n")
    fsspec.filesystem("memory").put(str(tmp_path / "remote.txt"), f"/{tmp_path.name}/remote.txt")
    with open_images(f"{url.removesuffix('cells')}remote.txt") as found:
        assert [found.read(0), found.read(1)] == list(whole.values())
        for local in (2, 3):
            with pytest.raises(BadImageError, match="cannot be read"):
                found.read(local)
    assert contents(f"{url}/a.png") == contents(str(folder / "a.png")) == {"a.png": CELL}


def test_several_sources_keep_their_names_apart(folder):
    names = list(contents([str(folder), str(folder / "a.png")]))
    assert names == [f"{folder}/a.png", f"{folder}/deep/er/b.JPG"]
    with open_images([str(folder), str(folder / "a.png")]) as found:
        assert found.names[2] == str(folder / "a.png") and found.read(2) == CELL


def test_names_that_point_outside_of_a_zip_are_rows_that_are_never_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        archive.writestr("../../etc/x.png", CELL)
        archive.writestr("a.png", CELL)
    with open_images(str(tmp_path / "cells.zip")) as found:
        assert found.names == ["a.png", "../../etc/x.png"] and found.read(0) == CELL
        with pytest.raises(BadImageError, match="outside of the zip"):
            found.read(1)


def test_mistakes_say_what_can_be_given(folder, tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    (folder / "deep" / "er" / "b.JPG").unlink()
    for images, error, message in (
        (str(tmp_path / "cels"), DataError, "images: there is no file or folder .*Did you mean '.*cells'"),
        (str(folder / "deep"), DataError, "holds no image. 1 files there do not end like images"),
        (f"{folder}/*.bmp", DataError, "holds no image"),
        (str(tmp_path / "broken.zip"), DataError, "images: '.*broken.zip' cannot be read as a zip"),
        ("memory://cells/*.png?", ConfigError, "takes no"),
        ("nothing://cells", ConfigError, "images: 'nothing://cells' cannot be opened"),
    ):
        with pytest.raises(error, match=message), open_images(images):
            pass
