"""A trained nnU-Net on some cases, in process, without flips: seconds taken, and Dice by case where there are labels.

Run by the Python of an environment with nnunetv2, which has no casefold; `peers.py` and `submit_speed.py` call it. What
counts is reading, predicting and, with --write, writing; imports, weights and a first case for nothing do not.
nnUNet_extTrainer is to name the folder of the trainer's class.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO  # type: ignore[import-not-found]
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # type: ignore[import-not-found]

LABELS = (1, 2)


def load(model: Path, fold: int) -> Any:
    """The network of one fold, ready to predict on the CPU."""
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), (fold,), "checkpoint_final.pth")
    return predictor


def predict(predictor: Any, image: Path, out: Path | None) -> Any:
    """The label map (z, y, x) of one file, also written to `out`."""
    files = SimpleITKIO()
    voxels, properties = files.read_images([str(image)])
    labels = predictor.predict_single_npy_array(voxels, properties, None, None, False)
    if out is not None:
        files.write_seg(labels, str(out), properties)
    return labels


def dice(labels: Any, truth: Path) -> list[float]:
    """Of each label."""
    wanted = SimpleITKIO().read_seg(str(truth))[0][0]
    pairs = [(labels == value, wanted == value) for value in LABELS]
    return [float(2 * (found & there).sum() / max(1, found.sum() + there.sum())) for found, there in pairs]


def main() -> None:
    """Predict every case and write what came out as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a folder TRAINER__PLANS__CONFIGURATION")
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="for Dice")
    parser.add_argument("--write", type=Path, help="where label maps go")
    parser.add_argument("--names", nargs="+", required=True, help="files of both folders")
    parser.add_argument("--out", type=Path, required=True, help="the JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor = load(options.model, options.fold)
    predict(predictor, options.images / options.names[0], None)
    cpu_s, wall_s, scores = 0.0, 0.0, {}
    for name in options.names:
        cpu, wall = time.process_time(), time.perf_counter()
        labels = predict(predictor, options.images / name, options.write and options.write / name)
        cpu_s, wall_s = cpu_s + time.process_time() - cpu, wall_s + time.perf_counter() - wall
        if options.labels is not None:
            scores[name.removesuffix(".nii.gz")] = dice(labels, options.labels / name)
    options.out.write_text(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "dice": scores}))


if __name__ == "__main__":
    main()
