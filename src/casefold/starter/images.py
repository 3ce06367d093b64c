"""Plain images: photographs of one slice or stacks of slices in folders, with their masks in any of the known forms."""

import re
from collections import Counter, defaultdict

from casefold.readers.images.files import as_grey, read_header, read_image
from casefold.readers.patterns import NUMBERS, PART, compile_pattern
from casefold.starter.guess import Guess, some
from casefold.starter.image_masks import add_coco, add_geojson, add_label_files, is_geojson
from casefold.starter.naming import Key, Reading, find_visit, keep_out, name_parts, pair, pattern_of_tests
from casefold.starter.survey import Name, Survey, main_depth, split_labels, split_test, spread
from casefold.starter.tables import Table, add_sample, add_table, find_table

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
DICOM = (".dcm", ".dicom")
OPENED = 8
STACK = 3  # images a folder, at the least, for it to be a scan's slices
DENSE = 0.7  # of the numbers from a folder's first to its last that have to be there


def recognise_table(files: Survey) -> Guess | None:
    """The config for images, DICOM included, with a CSV of RLE whose ids are theirs; None where there is none."""
    train, test = split_test(files.ending(*ENDINGS, *DICOM))
    images, _ = split_labels(train)
    table = find_table(files, images) if images else None
    return None if table is None else _build(files, images, [], test, table)


def recognise_images(files: Survey) -> Guess | None:
    """The config for images with label images or polygons; None where there are no images."""
    train, test = split_test(files.ending(*ENDINGS))
    images, labels = split_labels(train)
    return _build(files, images, labels, test, None) if images else None


def _build(files: Survey, every: list[Name], labels: list[Name], test: list[Name], table: Table | None) -> Guess:
    guess, images, test = Guess(), _alike(every), _alike(split_labels(test)[0])
    left_out = f"{len(every) - len(images)} images of another ending, or at another depth, are left out"
    guess.add("reader", "images", f"{len(images)} images", left_out if len(every) > len(images) else "")
    unpaired = f"none of {len(labels)} label files could be paired with an image"
    guess.add("classes", ["foreground"], "", f"{unpaired}; give `masks`, and the classes' names")
    reading, label, used = _pair(files, images, labels)
    stacked = _is_stack(files, reading)
    folders, core = _name_scans(reading, stacked)
    ending = images[0].ending
    if label is not None and used[0].ending == ending:
        is_image = compile_pattern(reading.pattern(folders, core, "", ending)).fullmatch
        is_label = compile_pattern(label.pattern(folders, core, "{class}", ending)).fullmatch
        strangers = [name for name in labels if is_image(name.path) and not is_label(name.path)]
        core = keep_out(core, label) if strangers else core
    image = reading.pattern(folders, core, "", ending)
    what = "a folder a scan, its images the slices" if stacked else "each image a scan of one slice"
    check = ""
    if "{visit:" in core:
        what += f"; several a case by their names: {some([name.stem for name in images], 3)}"
        check = "where they are slices of one volume, write {scan} for {case} and {slice} for {visit:...}"
    guess.add("image", image, what, check)
    tests = pattern_of_tests(test, reading, folders, core, "")
    if tests is not None:
        guess.add("test", tests[0], f"{tests[1]} to predict")
    opened = spread(images, OPENED)
    coloured = [name for name in opened if as_grey(read_image(files.at(name))) is None]
    guess.add("colour", "rgb" if coloured else "grey", f"{len(coloured)} of {len(opened)} images opened are coloured")
    form = None
    if table is not None:
        form = add_table(guess, files, table, images)
        _add_id(guess, table, reading, folders, core, image)
    elif label is not None:
        _add_files(guess, files, reading, label, label.pattern(folders, core, "{class}", used[0].ending), labels)
    else:
        add_coco(guess, files)
    add_sample(guess, files, test or images, form)
    guess.add("spacing_mm", "unknown", "images do not say it")
    return guess


def _pair(files: Survey, images: list[Name], labels: list[Name]) -> tuple[Reading, Reading | None, list[Name]]:
    """The readings of images and of their label files, and which these are; GeoJSON where no label images are."""
    labels = _alike(labels)
    words = [re.split("[^0-9A-Za-z]", name.stem)[-1] for name in labels]
    common = [word for word, _ in Counter(words).most_common(1)]
    stems = {name.stem for name in images}
    polygons = _alike([name for name in files.ending(".json", ".geojson") if name.stem in stems])
    polygons = polygons if polygons and is_geojson(files, polygons[0]) else []
    commonest = [name for name, word in zip(labels, words, strict=True) if [word] == common]
    for tried in (labels, commonest, polygons):
        reading, label = pair(images, tried, classes=True)
        if label is not None:
            return reading, label, tried
    return reading, None, []


def _name_scans(reading: Reading, stacked: bool) -> tuple[list[str], str]:
    """Names for the folders that differ and for the core, so that each scan has a name of its own."""
    folders, core = name_parts(reading, stacked)
    keys = list(reading.files)
    if stacked:
        scan = folders.index("{scan}")
        if len({key[scan] for key in keys}) < len({key[:-1] for key in keys}):  # every case has a `day0`
            return [name.replace("{scan}", "{visit}") for name in folders], core.replace("{scan}", "{visit}")
    elif core == "{scan}" and "{scan}" not in folders:
        scans = [key[-1] for key in keys]
        visit = find_visit(scans) if "{case}" not in folders else None
        if visit is not None:
            return folders, f"{{case}}{visit[0]}{{visit:{visit[1]}}}"
        if len(set(scans)) < len(scans):
            return folders, "{image}"
    return folders, core


def _add_files(guess: Guess, files: Survey, images: Reading, label: Reading, pattern: str, labels: list[Name]) -> None:
    found = [name for key in images.files for name in label.files.get(key, {}).values()]
    if found[0].ending.lower() not in ENDINGS:
        add_geojson(guess, files, found, pattern)
        return
    missing = any(len(label.files.get(key, {})) < max(1, len(label.words)) for key in images.files)
    add_label_files(guess, files, found, label, pattern, missing)
    if len(found) < len(labels):
        masks = guess.fields["masks"]
        odd = f"{len(labels) - len(found)} label files are not read, for their names differ"
        guess.add("masks", masks.value, masks.why, "; ".join(filter(None, (masks.check, odd))))


def _alike(names: list[Name]) -> list[Name]:
    """The files of the commonest ending, as deep as most of them."""
    ending = Counter(name.ending for name in names).most_common(1)
    return main_depth([name for name in names if [name.ending] == [common for common, _ in ending]])


def _is_stack(files: Survey, reading: Reading) -> bool:
    """Whether each folder holds the slices of one scan: numbered without large gaps, and of one size."""
    folders = defaultdict[Key, dict[int, Name]](dict)
    for key, found in reading.files.items():
        number = re.findall(r"\d+", key[-1])
        folders[key[:-1]][int(number[-1]) if number else 0] = found[""]
    if len(folders) < 2 or "{kind" in name_parts(reading)[0][-1]:
        return False
    if any(len(own) < max(STACK, DENSE * (max(own) - min(own) + 1)) for own in folders.values()):
        return False
    probed = [spread(list(own.values()), STACK) for own in list(folders.values())[:STACK]]
    return all(len({read_header(files.at(name))[:2] for name in own}) == 1 for own in probed)


def _add_id(guess: Guess, table: Table, reading: Reading, folders: list[str], core: str, image: str) -> None:
    """The id template, where it is not the one that the reader takes by itself."""
    last = folders[-1] if reading.folders and reading.folders[-1] is None else "".join(map(str, reading.folders[-1:]))
    file = image.rpartition("/")[2]
    stem = reading.stem.replace("<>", core)
    written = PART.sub(r"{\1}", {"stem": stem, "file": file, "folder_stem": f"{last}_{stem}"}[table.keys.id_form])
    parts = list(dict.fromkeys(match[1] for match in PART.finditer(image) if match[1] not in NUMBERS))
    scan = "{scan}" if "scan" in parts else "_".join(f"{{{part}}}" for part in parts)
    if written != scan + ("_{slice}" if "{slice}" in image else ""):
        guess.add("id", written, f"what `{table.keys.column}` of {table.name.path} calls an image")
