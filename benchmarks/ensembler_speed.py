"""The ensembler's speed ratios in one run: beside SciPy, MONAI, SimpleITK, pycocotools and a mask for each level.

CASEFOLD_DATA=... python benchmarks/ensembler_speed.py; wants SimpleITK (in requirements.txt) and pycocotools beside it.
"""

import contextlib
import io
from pathlib import Path

import hausdorff_speed
import rle_speed
import threshold_speed

PARTS = {
    "Dice at every level": threshold_speed.main,
    "RLE": rle_speed.main,
    "Hausdorff distance": hausdorff_speed.main,
}


def main() -> None:
    """Run each part, print and write what it prints."""
    text = ""
    for title, part in PARTS.items():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            part()
        section = f"## {title}\n{printed.getvalue().rstrip()}\n"
        print(section, flush=True)
        text += f"{section}\n"
    (Path(__file__).parent / "results" / "ensembler_speed.txt").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
