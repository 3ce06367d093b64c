"""The files of a bundle beside wheels and weights: checksums, what the `kaggle` command reads, and a page to follow."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from casefold.core import ConfigError
from casefold.files import write_json, write_text
from casefold.rerun.opened import SUMS, UPLOADER

DATASET_FILE, KERNEL_FILE = UPLOADER
NOTEBOOK_FILE = "kaggle.ipynb"
PAGE = "README.md"
NOBODY = "YOUR_KAGGLE_NAME"
SLUG_CHARACTERS = range(6, 51)  # what Kaggle takes as a data set's name and title


def slug_of(ensemble: str) -> str:
    """What the data set and the notebook of an ensemble are called on Kaggle."""
    slug = f"casefold-{re.sub(r'[^a-z0-9]+', '-', ensemble.lower()).strip('-')}"
    if len(slug) not in SLUG_CHARACTERS:
        raise ConfigError(f"{slug!r} has {len(slug)} characters, Kaggle takes 6 to 50; rename the ensemble")
    return slug


def write_metadata(folder: Path, ensemble: str, owner: str, competition: str) -> None:
    """Write what `kaggle datasets create` and `kaggle kernels push` read. owner: the Kaggle user; '' leaves a gap."""
    slug, owner = slug_of(ensemble), owner or NOBODY
    licences = [{"name": "other"}]
    write_json(folder / DATASET_FILE, {"title": slug, "id": f"{owner}/{slug}", "licenses": licences})
    kernel = {
        "id": f"{owner}/{slug}-run",
        "title": f"{slug}-run",
        "code_file": NOTEBOOK_FILE,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "machine_shape": "NvidiaTeslaT4",
        "enable_internet": False,
        "dataset_sources": [f"{owner}/{slug}"],
        "competition_sources": [competition],
        "kernel_sources": [],
    }
    write_json(folder / KERNEL_FILE, kernel)


def write_page(folder: Path, ensemble: str, owner: str, competition: str, facts: Sequence[str]) -> None:
    """Write README.md: what the bundle is and the five commands that bring it to Kaggle."""
    slug, name = slug_of(ensemble), owner or NOBODY
    gap = "" if owner else f"First put your name in the place of {NOBODY}: `sed -i s/{NOBODY}/me/ *.json {PAGE}`.\n\n"
    listed = "\n".join(f"- {fact}" for fact in facts)
    write_text(
        folder / PAGE,
        f"""\
# {ensemble}, to be run on Kaggle without a network

{listed}

{gap}In this folder, with Kaggle's command (`pip install kaggle`), once the competition's rules are accepted:

    kaggle datasets create -p . --dir-mode zip
    kaggle datasets status {name}/{slug}
    kaggle kernels push -p .
    kaggle kernels status {name}/{slug}-run
    kaggle competitions submit {competition} -k {name}/{slug}-run -f submission.csv -v 1 -m {ensemble}

The second and the fourth are asked until they say `ready` and `complete`. `push` runs the notebook as Kaggle's public
run does, on a few training scans; -v is the number that it prints. Another bundle under the same name goes up with
`kaggle datasets version -p . --dir-mode zip -m again` in the place of the first.

`casefold` compares every file with {SUMS} before it predicts, and refuses a bundle with a changed byte.
""",
    )


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file, a line each, as `sha256sum --check` reads it.

    Not of those that the uploader keeps, nor of the page, in which a name is to be written.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    left_out = {SUMS, PAGE, *UPLOADER}
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in files if name not in left_out]
    write_text(folder / SUMS, "".join(lines))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
