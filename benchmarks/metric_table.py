"""How far the readings of the UW-Madison metric lie apart, on predictions with one fault each.

python benchmarks/metric_table.py; seconds. Prints the table and writes it to results/metric_table.txt.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.metrics import SLICE_WISE_PORT, UwmgiOptions, uwmgi_score

Mask = NDArray[np.bool_]
SHAPE = (144, 266, 266)
SPACING_MM = (3.0, 1.5, 1.5)
# Centre and radii, voxels (z, y, x): 61, 51 and 31 slices, 143 of 432 images in all.
ELLIPSOIDS = {
    "large_bowel": ((70, 130, 110), (30.5, 22.0, 27.0)),
    "small_bowel": ((66, 150, 160), (25.5, 19.0, 23.0)),
    "stomach": ((98, 100, 170), (15.5, 16.0, 20.0)),
}
STRAY = (2, 10, 10)
END = 5
DICE = {
    "Dice skip": UwmgiOptions(),
    "Dice zero": UwmgiOptions(empty="zero"),
    "Dice one": UwmgiOptions(empty="one"),
    "Dice scan": UwmgiOptions(dice_by="scan"),
}
HAUSDORFF = {
    "HD class": UwmgiOptions(),
    "HD union": UwmgiOptions(distance_of="union"),
    "HD diagonal": UwmgiOptions(coordinates="diagonal"),
    "HD mm": UwmgiOptions(coordinates="mm"),
    "HD surface": UwmgiOptions(points="surface"),
    "HD skip": UwmgiOptions(one_empty="skip"),
    "HD slice-wise": SLICE_WISE_PORT,
}


def scan() -> Mask:
    """The truth: (class, z, y, x)."""
    grid = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    drawn = [
        sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True)) < 1
        for centre, radii in ELLIPSOIDS.values()
    ]
    return np.stack(drawn)


def predictions(truth: Mask) -> dict[str, Mask]:
    """A prediction a fault; the truth itself first."""
    stray, fewer, more, missed = (truth.copy() for _ in range(4))
    stray[(0, *STRAY)] = True
    for number, mask in enumerate(truth):
        slices = np.flatnonzero(mask.any((1, 2)))
        fewer[number, slices[:END]], fewer[number, slices[-END:]] = False, False
        more[number, slices[-1] + 1 : slices[-1] + 1 + END] = mask[slices[-1]]
    missed[-1] = False
    return {
        "perfect": truth,
        "3 px shift": np.roll(truth, 3, axis=3),
        "one stray voxel": stray,
        f"{END} end slices missing at each end": fewer,
        f"{END} extra slices at one end": more,
        "one class missed": missed,
    }


def table() -> pd.DataFrame:
    """Dice and 1 - distance, a row a prediction and a column a reading."""
    truth = scan()
    rows = []
    for name, predicted in predictions(truth).items():
        row: dict[str, float | str] = {"prediction": name}
        row |= {column: uwmgi_score(truth, predicted, options).dice for column, options in DICE.items()}
        for column, options in HAUSDORFF.items():
            row[column] = 1 - uwmgi_score(truth, predicted, options, SPACING_MM).hausdorff
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Print and write the table."""
    text = "\n".join(
        [
            f"Readings of the UW-Madison metric on ellipsoids in {SHAPE}, {SPACING_MM} mm. {date.today()}.",
            "python benchmarks/metric_table.py",
            *(f"{name}: centre {centre}, radii {radii} voxels" for name, (centre, radii) in ELLIPSOIDS.items()),
            f"The stray voxel, of {next(iter(ELLIPSOIDS))}: {STRAY}. The extra slices repeat the last one; the class "
            f"missed: {list(ELLIPSOIDS)[-1]}.",
            "Dice by slice, two empty slices left out (skip), worth 0 (zero) or 1 (one); or by scan.",
            "HD is 1 - distance: over the array's size, each class (class) or the classes together (union); over the",
            "diagonal in voxels or in mm; of surface voxels; one empty side left out (skip); the slice-wise port.",
            "",
            table().to_string(index=False, float_format="{:.3f}".format),
        ]
    )
    print(text)
    (Path(__file__).parent / "results" / "metric_table.txt").write_text(text + "\n")


if __name__ == "__main__":
    main()
