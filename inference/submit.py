"""Raw scans to a submission with nothing but trained folds and a recipe: no trainer, no store, no network.

python inference/submit.py DATASET.yaml RAW_ROOT RECIPE.yaml MEMBERS OUT.csv, where MEMBERS is the folder that holds
`<member>/fold<k>/` and RAW_ROOT is the data set's root, whose test part is predicted.
"""

import sys
from pathlib import Path

from casefold.config.load import load_dataset
from casefold.infer import infer, load_ensemble_models
from casefold.readers.table import csv_form, find, load
from casefold.recipe import load_recipe
from casefold.submission import rows, write_csv


def main(dataset: Path, raw: Path, recipe_path: Path, members: Path, out: Path) -> None:
    """Predict the test part below `raw`, in the rows and order of its sample_submission.csv where there is one."""
    config, recipe = load_dataset(dataset.parent.parent, dataset.stem), load_recipe(recipe_path)
    runs = {name: [members / name / f"fold{fold}" for fold in recipe.folds] for name in recipe.members}
    loaded, form = load_ensemble_models(recipe, runs), csv_form(config)
    predicted = [row for scan in find(config, raw, "test") for row in rows(infer(loaded, load(config, scan)), form)]
    sample = raw / "sample_submission.csv"
    write_csv(out, predicted, sample if sample.is_file() else None, form)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
