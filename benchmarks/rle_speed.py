"""RLE of real masks: casefold beside the numpy recipe of many notebooks and pycocotools.

python benchmarks/rle_speed.py; wants `pip install pycocotools`, and lgg and hippocampus below CASEFOLD_DATA. One
thread, process time. The ways take turns, each over all masks in every round; the figure is the median of the rounds.

casefold and the recipe go between a mask (C order) and `start length ...` by rows. pycocotools goes between a mask and
its own compressed counts by columns, so it is given and gives Fortran order; rows marked `C order` turn the mask into
that order before encoding, or back from it after decoding, as who keeps masks in C order must.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.config.paths import Paths

ROUNDS = 31
SIZE = (256, 256)
coco = import_module("pycocotools.mask")
Text = tuple[str, tuple[int, int]]


def recipe_encode(image: NDArray[np.uint8]) -> str:
    """As notebooks have it: where neighbours of the padded mask differ, and a word a number."""
    padded = np.concatenate([[0], image.flatten(), [0]])
    runs = np.where(padded[1:] != padded[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def recipe_decode(text: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """As notebooks have it: words to integers, and a slice set for each run."""
    words = text.split()
    first, lengths = (np.asarray(part, dtype=int) for part in (words[::2], words[1::2]))
    first = first - 1
    image = np.zeros(shape[0] * shape[1], np.uint8)
    for low, high in zip(first, first + lengths, strict=True):
        image[low:high] = 1
    return image.reshape(shape)


def lgg_masks(data: Path) -> list[NDArray[np.bool_]]:
    """Every mask of the training table that is not empty."""
    texts = pd.read_csv(data / "lgg" / "train.csv", keep_default_na=False)["segmentation"]
    return [recipe_decode(text, SIZE).astype(np.bool_) for text in texts if text]


def hippocampus_masks(data: Path, every: int = 4) -> list[NDArray[np.bool_]]:
    """Axial slices of both labels that are not empty, of every few cases."""
    masks = []
    for path in sorted((data / "hippocampus" / "labelsTr").glob("[!.]*.nii.gz"))[::every]:
        labels = np.asarray(nib.load(path).dataobj).transpose()
        masks += [plane == label for label in (1, 2) for plane in labels if (plane == label).any()]
    return masks


def medians(ways: Mapping[str, tuple[Callable[[Any], Any], list[Any]]]) -> dict[str, float]:
    """CPU-microseconds an item of each way."""
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (call, items) in ways.items():
            start = process_time()
            for item in items:
                call(item)
            rounds[name].append((process_time() - start) / len(items) * 1e6)
    return {name: float(np.median(times)) for name, times in rounds.items()}


def compare(title: str, masks: list[NDArray[np.bool_]]) -> None:
    """Print a row a way, for encoding and for decoding."""
    bytes_, columns = (
        [mask.view(np.uint8) for mask in masks],
        [np.asfortranarray(mask.view(np.uint8)) for mask in masks],
    )
    texts: list[Text] = [(rle.encode(mask), (mask.shape[0], mask.shape[1])) for mask in masks]
    counts = [coco.encode(mask) for mask in columns]
    for mask, (text, shape), count in zip(masks, texts, counts, strict=True):
        decoded = [rle.decode(text, shape), recipe_decode(text, shape), coco.decode(count)]
        if recipe_encode(mask.view(np.uint8)) != text or not all(np.array_equal(mask, other) for other in decoded):
            raise SystemExit(f"{title}: the ways differ")
    encoding = medians(
        {
            "casefold": (rle.encode, masks),
            "numpy recipe": (recipe_encode, bytes_),
            "pycocotools": (coco.encode, columns),
            "pycocotools, C order": (lambda mask: coco.encode(np.asfortranarray(mask)), bytes_),
        }
    )
    decoding = medians(
        {
            "casefold": (lambda text: rle.decode(*text), texts),
            "numpy recipe": (lambda text: recipe_decode(*text), texts),
            "pycocotools": (coco.decode, counts),
            "pycocotools, C order": (lambda count: np.ascontiguousarray(coco.decode(count)), counts),
        }
    )
    runs = np.median([len(text.split()) // 2 for text, _ in texts])
    height, width = np.max([shape for _, shape in texts], axis=0)
    rows = [
        {
            "way": name,
            "encode_us": encoding[name],
            "decode_us": decoding[name],
            "encode_ratio": encoding[name] / encoding["casefold"],
            "decode_ratio": decoding[name] / decoding["casefold"],
        }
        for name in encoding
    ]
    print(f"\n{title}: {len(masks)} masks of up to {height} x {width}, {runs:.0f} runs in the median")
    print("CPU-microseconds a mask, and how many times casefold's that is")
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.2f}"), flush=True)


def main() -> None:
    """Both data sets."""
    data = Paths.from_environment().data
    compare("LGG", lgg_masks(data))
    compare("hippocampus, slices far smaller than any that are submitted as RLE", hippocampus_masks(data))


if __name__ == "__main__":
    main()
