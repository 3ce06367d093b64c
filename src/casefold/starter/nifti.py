"""NIfTI folders: the Decathlon layout by its dataset.json, anything else by patterns found from the files' names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes

from casefold.core import DataError
from casefold.files import read_json
from casefold.readers.nifti.grid import open_nifti, read_voxels
from casefold.readers.patterns import compile_pattern
from casefold.starter.guess import Guess, some
from casefold.starter.naming import Reading, find_visit, keep_out, name_parts, pair, pattern_of_tests
from casefold.starter.survey import Name, Survey, main_depth, split_labels, split_test, spread

ENDINGS = (".nii.gz", ".nii")
OPENED = 8  # files that are read for their values, spread over all
MOST_LABELS = 32
# The tumour regions that BraTS scores, by what its files call enhancing tumour: 4 until 2022, then 3
BRATS_MODALITIES = ({"t1", "t1ce", "t2", "flair"}, {"t1n", "t1c", "t2w", "t2f"})
BRATS_REGIONS: dict[tuple[int, ...], dict[str, list[int]]] = {
    (1, 2, 4): {"whole_tumour": [1, 2, 4], "tumour_core": [1, 4], "enhancing": [4]},
    (1, 2, 3): {"whole_tumour": [1, 2, 3], "tumour_core": [1, 3], "enhancing": [3]},
}


def recognise_decathlon(files: Survey) -> Guess | None:
    """The config for a folder with a dataset.json that lists images and labels; None where there is none.

    Raises DataError on several, for these are several data sets.
    """
    found = {name: text for name in files.names if (text := _description(files, name))}
    listed = {name: images for name, text in found.items() if (images := _listed(files, name, text))}
    if not listed:
        return None
    if len(listed) > 1:
        folders = [str(files.at(name).parent) for name in listed]
        raise DataError(f"{files.folder} holds {len(listed)} data sets; give the folder of one: {', '.join(folders)}")
    name, images = next(iter(listed.items()))
    values, channels = found[name]["labels"], list(found[name].get("modality", {}).values())
    guess = Guess(base="/".join(name.folders) or ".")
    guess.add("reader", "nifti", "Medical Segmentation Decathlon layout: a dataset.json lists images and labels")
    classes = [values[value] for value in sorted(values, key=int) if int(value)]
    guess.add("classes", classes, "as dataset.json names the labels, without 0")
    if len(channels) > 1:
        guess.add("modalities", channels, "the volumes of each 4D file, as dataset.json names them")
    _add_spacing(guess, files, images)
    _add_case(guess, [image.stem for image in images])
    return guess


def recognise_patterns(files: Survey) -> Guess | None:
    """The config for NIfTI files in any layout; None where there are none."""
    train, test = split_test(files.ending(*ENDINGS))
    if not train:
        return None
    images, labels = (main_depth(part) for part in split_labels(train))
    image, label = pair(images, labels, modalities=True)
    guess = Guess()
    guess.add("reader", "nifti", f"{len(train) + len(test)} NIfTI files; no dataset.json that lists them")
    unpaired = f"none of {len(labels)} label maps could be paired with an image"
    guess.add("classes", ["foreground"], "", f"{unpaired}; give `label`, `labels` and the classes' names")
    folders, core = name_parts(image)
    scans = {key: key[folders.index("{scan}")] if "{scan}" in folders else key[-1] for key in image.files}
    alone = [key for key in image.files if label is not None and key not in label.files]
    used = [key for key in image.files if key not in alone]
    ending = images[0].ending if len({name.ending for name in images}) == 1 else ".nii*"
    if label is not None:
        core = _narrowed(core, [scans[key] for key in used], [scans[key] for key in alone])
        fits = compile_pattern(image.pattern(folders, core, f"{{modality:{'|'.join(image.words)}}}", ending)).fullmatch
        core = keep_out(core, label) if any(fits(name.path) for name in labels) else core
    told = f"{len(scans)} scans" + (f", {len(alone)} of them without a label map" if alone else "")
    guess.add("image", image.pattern(folders, core, "{modality}", ending), told)
    if image.words:
        _add_modalities(guess, image, {scans[key]: len(image.files[key]) for key in used})
    if label is not None:
        paired = f"{len(image.files.keys() & label.files.keys())} of {len(label.files)} label maps have an image"
        guess.add("label", label.pattern(folders, core, "", labels[0].ending), paired)
        _add_labels(guess, files, labels)
    if alone and "{scan:" not in core:
        guess.add("drop_scans", [scans[key] for key in alone], "no label map", "label them, or leave them out")
    _add_spacing(guess, files, [name for key in used for name in image.files[key].values()])
    if "{case}" not in folders:
        _add_case(guess, [scans[key] for key in used])
    tests = pattern_of_tests(main_depth(split_labels(test)[0]), image, folders, core, "{modality}")
    if tests is not None:
        guess.add("test", tests[0], f"{tests[1]} scans to predict")
    return guess


def _description(files: Survey, name: Name) -> dict[str, Any] | None:
    """A dataset.json that says what the labels are, or None."""
    if (name.stem, name.ending) != ("dataset", ".json"):
        return None
    try:
        content = read_json(files.at(name))
    except ValueError as e:
        raise DataError(f"{files.at(name)} is not JSON: {e}; mend it, or move it away") from e
    return content if isinstance(content, dict) and isinstance(content.get("labels"), dict) else None


def _listed(files: Survey, name: Name, text: Mapping[str, Any]) -> list[Name]:
    """The training images that a dataset.json lists and that are there; none where it is of another form."""
    entries = text.get("training")
    if not isinstance(entries, list) or not all(map(str.isdecimal, text["labels"])):
        return []
    listed = {"/".join([*name.folders, str(entry["image"]).removeprefix("./")]) for entry in entries}
    return [other for other in files.ending(*ENDINGS) if other.path in listed]


def _narrowed(core: str, labelled: list[str], alone: list[str]) -> str:
    """The core with an expression that fits the labelled scans' names and no others, where names tell them apart."""
    shapes = [{re.sub(r"\d+", r"\\d+", re.escape(scan)) for scan in scans} for scans in (labelled, alone)]
    if alone and len(shapes[0]) == 1 and not shapes[0] & shapes[1]:
        return core.replace("{scan}", f"{{scan:{shapes[0].pop()}}}")
    return core


def _add_modalities(guess: Guess, image: Reading, counts: Mapping[str, int]) -> None:
    guess.add("modalities", image.words, "one file each, told apart by this part of the name, in alphabetical order")
    lacking = [scan for scan, count in counts.items() if count < len(image.words)]
    if lacking:
        check = "drop them, fill the gap (zeros, mean), or add the files and write `refuse`"
        guess.add("missing_modality", "drop", f"{len(lacking)} scans lack one: {some(lacking)}", check)


def _add_labels(guess: Guess, files: Survey, labels: list[Name]) -> None:
    """Classes and their values: as a dataset.json of another form says, BraTS's regions, or names made up."""
    opened = spread(labels, OPENED)
    seen = sorted(set[float]().union(*(label_values(files.at(name)) for name in opened)) - {0})
    why, check = f"values seen in {len(opened)} of {len(labels)} label maps: {some(seen, MOST_LABELS)}", ""
    modalities = guess.fields["modalities"].value if "modalities" in guess.fields else []
    values = _named_values(files)
    if values:
        why = f"as dataset.json names them; {why}"
    elif {word.lower() for word in modalities} in BRATS_MODALITIES and tuple(map(int, seen)) in BRATS_REGIONS:
        values, why = BRATS_REGIONS[tuple(map(int, seen))], f"BraTS's tumour regions, which contain one another; {why}"
        check = "are these the regions you want, or the labels one by one?"
    elif len(seen) > MOST_LABELS or any(value != int(value) or value < 0 for value in seen):
        check = "these label maps do not hold a few whole numbers; are they probabilities? Give `classes` and `labels`"
    elif seen:
        values = {f"label_{value:g}" if len(seen) > 1 else "foreground": [int(value)] for value in seen}
        check = "the names are made up, put the true ones; a rare value may be missing"
    else:
        check = "the label maps opened are empty; give `classes` and `labels`"
    guess.add("classes", list(values) or ["foreground"], why, check)
    if values:
        guess.add("labels", values)


def label_values(path: Path) -> set[float]:
    """The values in a label map; raises DataError on a file that is broken."""
    return set(np.unique(read_voxels(open_nifti(path))).tolist())


def _named_values(files: Survey) -> dict[str, list[int]]:
    """The values of each label that a dataset.json names, either way round; empty where there is none."""
    named: dict[str, Any] = next((text["labels"] for name in files.names if (text := _description(files, name))), {})
    turned = {value: name for name, value in named.items()} if all(map(str.isdecimal, named)) else named
    values = {name: [int(one) for one in (own if isinstance(own, list) else [own])] for name, own in turned.items()}
    return {name: own for name, own in values.items() if own != [0]}


def _add_spacing(guess: Guess, files: Survey, images: list[Name]) -> None:
    opened = [open_nifti(files.at(name)) for name in spread(images, OPENED)]
    if opened[0].volumes > 1 and "modalities" not in guess.fields:
        named = [f"channel_{number}" for number in range(opened[0].volumes)]
        guess.add("modalities", named, "the volumes of each 4D file", "the names are made up")
    seen = sorted({tuple(round(float(mm), 3) for mm in voxel_sizes(file.affine)[::-1]) for file in opened})
    check = (
        "1 mm each way is also what a file says that never knew; then write `unknown`" if seen == [(1, 1, 1)] else ""
    )
    told = some([" x ".join(f"{mm:g}" for mm in spacing) for spacing in seen])
    guess.add("spacing_mm", "from_file", f"mm (z, y, x) seen: {told}", check)


def _add_case(guess: Guess, scans: list[str]) -> None:
    visit = find_visit(scans)
    if visit is not None:
        pattern = f"^(.+?){re.escape(visit[0])}{visit[1]}$"
        why = f"several scans a case by their names: {some(scans, 3)}"
        guess.add("case_pattern", pattern, why, "scans of one case must not stand in two folds")
