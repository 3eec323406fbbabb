"""Files of a user's own: folders of small images, arrays, counts."""

import numpy as np
from PIL import Image

RED, BLUE, WHITE = (220, 40, 30), (30, 40, 220), (230, 230, 230)


def disc(random, colour, size=12):
    """An image of a disc somewhere, ``[size, size, 3]``."""
    y, x = np.mgrid[:size, :size]
    centre = random.uniform(size / 4, 3 * size / 4, 2)
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (size / 4) ** 2
    return np.where(inside[..., None], np.uint8(colour), np.uint8(WHITE))


def folder(path, count=40, size=12, suffixes=(".png", ".jpg")):
    """Discs in subfolders blue and red, of both kinds of files in turn."""
    random = np.random.RandomState(0)
    for number in range(count):
        name, colour = (("blue", BLUE), ("red", RED))[number % 2]
        (path / name).mkdir(parents=True, exist_ok=True)
        file = path / name / f"{number:03}{suffixes[number // 2 % len(suffixes)]}"
        Image.fromarray(disc(random, colour, size)).save(file)
    return path


def counts(path, cells=60, genes=7, sparse="csr", labels=True, values=None, layers=None):
    """An .h5ad file of two kinds of cells; returns its counts as they are, dense."""
    import anndata
    import pandas
    import scipy.sparse

    random = np.random.RandomState(0)
    kinds = np.arange(cells) % 2
    rates = np.where(kinds[:, None] == 0, np.linspace(0.1, 5, genes), np.linspace(5, 0.1, genes))
    dense = random.poisson(rates).astype(np.float32) if values is None else values
    stored = {"csr": scipy.sparse.csr_matrix, "csc": scipy.sparse.csc_matrix, None: np.array}[sparse](dense)
    obs = pandas.DataFrame(index=[f"cell{number}" for number in range(cells)])
    if labels:
        obs["kind"] = pandas.Categorical(np.where(kinds == 0, "T cell", "B cell"))
    anndata.AnnData(stored, obs=obs, layers=layers).write_h5ad(path)
    return dense
