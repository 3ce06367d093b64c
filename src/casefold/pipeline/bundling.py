"""bundle: everything that a code competition needs, in one folder that is ready to be uploaded."""

import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from casefold.bundle.contents import NOTEBOOK_FILE, write_checksums, write_metadata, write_page
from casefold.bundle.notebook import notebook
from casefold.bundle.weights import copy_run, halve_member
from casefold.bundle.wheels import gather_wheels
from casefold.config.load import save
from casefold.core import ConfigError, DataError
from casefold.files import write_text, writing
from casefold.infer import infer, load_ensemble_models
from casefold.models.precision import pick_device
from casefold.pipeline.project import Project
from casefold.pipeline.shifting import known_shift
from casefold.pipeline.submitting import current_recipe, detector_runs, models_of
from casefold.pipeline.tuning import recipe_path
from casefold.predict import Member, load_member
from casefold.readers.table import csv_form, exclusive
from casefold.recipe import Recipe, load_recipe, save_recipe
from casefold.rerun.opened import SUMS, Bundle, open_bundle

CASES = 50  # about as many as the hidden test of such a competition has


@dataclass(frozen=True)
class Options:
    """What a bundle holds. python: the notebook's, for the wheels; None leaves them out. owner: the Kaggle user.

    half: try weights of half precision. scans: held-out scans to try them on; None: every one.
    """

    python: str | None = "3.12"
    owner: str = ""
    half: bool = True
    scans: int | None = 12


def bundle_step(project: Project, out: Path, options: Options) -> tuple[Path, list[str]]:
    """Make the bundle of an ensemble, trained and tuned here where that is missing, in `out/<ensemble>`.

    Gives the folder, and in words what was decided and how long a competition's test would take here. A folder of that
    name is replaced if it is a bundle. Raises ConfigError where predictions are no CSV or a member can't be brought.
    """
    csv_form(project.dataset)
    current_recipe(project)  # refuses a stale one; it has the first rung alone, and the clock wants all
    recipe = load_recipe(recipe_path(project))
    foreign = [name for name in recipe.members if name not in project.trained]
    if foreign:
        raise ConfigError(f"{foreign} were made by other code, which no bundle can run; take an ensemble without them")
    folder = out / recipe.name
    if folder.exists() and not (folder / SUMS).is_file():
        raise DataError(f"{folder} is there and is no bundle; remove it, or give another folder with --out")
    half, facts = _precision(project, recipe, options)
    part = out / f".{recipe.name}.part"
    with writing(part):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    _fill(project, recipe, part, half, options, facts)
    with writing(folder):
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    return folder, [*facts, _projection(project, open_bundle(folder))]


def _fill(project: Project, recipe: Recipe, part: Path, half: bool, options: Options, facts: list[str]) -> None:
    """Write every file; adds to `facts` what it brought."""
    runs, _, _ = models_of(project, recipe)
    for name, paths in runs.items():
        for run in paths:
            copy_run(run, part / "models" / name / run.name, half)
    cropping = project.detectors_of(list(runs))
    for name in cropping:
        for run in detector_runs(project, name, runs):
            copy_run(run, part / "models" / name / run.name, half=False)
    save_recipe(recipe, part / "recipe.yaml")
    save(project.dataset, part / "dataset.yaml")
    write_text(part / NOTEBOOK_FILE, notebook())
    if options.python is None:
        facts.append("no wheels")
    else:
        wheels = gather_wheels(part / "wheels", options.python, bool(cropping))
        facts.append(f"wheels for Python {options.python}: {', '.join(wheel.name for wheel in wheels)}")
    size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    facts.append(f"{len(recipe.members)} members, {sum(map(len, runs.values()))} models, {size / 1e6:.1f} MB in all")
    if cropping:
        facts.append(f"cropped by the detectors {', '.join(cropping)}, which want ultralytics (AGPL-3.0)")
    competition = project.dataset.root.split("/")[0]
    write_metadata(part, recipe.name, options.owner, competition)
    write_page(part, recipe.name, options.owner, competition, facts)
    write_checksums(part)


def _precision(project: Project, recipe: Recipe, options: Options) -> tuple[bool, list[str]]:
    """Whether the weights can be of half precision, and in words why."""
    if not options.half:
        return False, ["weights in float32, as asked"]
    found = known_shift(project, recipe, "half", partial(_halved, project), options.scans)
    if found.is_harmless:
        return True, [f"weights in float16: {found.words()}"]
    return False, [f"weights in float32, for in float16 {found.words()}"]


def _halved(project: Project, name: str, fold: int) -> Member:
    return halve_member(load_member([project.run(name, str(fold))], pick_device(project.device)))


def _projection(project: Project, bundle: Bundle) -> str:
    """How long CASES cases would take here, by one scan of the store, predicted from the bundle and timed."""
    store = project.store()
    slices = store.slices.groupby("scan", sort=False).size()
    name = str((slices - slices.median()).abs().idxmin())
    scan = store.scan(name)
    loaded = load_ensemble_models(bundle.recipe, bundle.runs, project.device)
    start = time.monotonic()
    infer(loaded, scan, exclusive(project.dataset, project.raw))
    seconds = time.monotonic() - start
    whole = seconds / int(slices[name]) * float(slices.sum()) / len(set(store.case_of.values())) * CASES
    return (
        f"{CASES} cases as these: {whole / 3600:.2f} hours on this machine's {loaded.device.type}, in one process "
        f"({seconds:.2f} s for a scan of {slices[name]} slices)"
    )
