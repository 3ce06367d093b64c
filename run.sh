#!/usr/bin/env bash
# A verb a step; `./run.sh help` lists them. Sets up its environment when that is missing, then calls `casefold`.
# The environment is the active one where it has torch (Kaggle, conda, a venv), otherwise ./.venv.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
known="demo test init look check prepare folds fold0..fold4 train full runs augment oof report tune compare submit score bundle compress study pseudo twins lb diff vote help"

show_help() {
    cat <<'END'
A verb a step. Each first runs the earlier steps that are missing; the same command again continues or does nothing.
`./run.sh VERB --help` shows a verb's options.

  demo             the whole line on an embedded phantom       ./run.sh demo
  test             ruff, mypy, pytest; --all: long tests too   ./run.sh test --all
  init             config and ensemble for an unknown folder   ./run.sh init downloads/lgg
  look             slices of a scan with its masks, as PNG     ./run.sh look lgg case7_day0
  check            every fault of the raw data                 ./run.sh check lgg
  prepare          raw files to a store of scans               ./run.sh prepare lgg
  folds            make the fold table, once                   ./run.sh folds lgg
  fold0 .. fold4   train every member on one fold              ./run.sh fold0 lgg
  train            train every member on every fold            ./run.sh train lgg
  full             fit every member on every case              ./run.sh full lgg
  runs             every run with its state and score          ./run.sh runs
  augment          what an augmentation does, as PNG           ./run.sh augment lgg heavy
  oof              verify, complete and score out of fold      ./run.sh oof lgg
  report           a page on it: what is lost, what to do next  ./run.sh report lgg
  tune             search weights, gates and levels            ./run.sh tune lgg
  compare          two ensembles or members, case by case      ./run.sh compare lgg lgg_uw
  submit           masks for unlabelled scans                  ./run.sh submit lgg
  score            a submission or label maps against a truth  ./run.sh score lgg submission.csv truth.csv
                   or the fold table's test part               ./run.sh score lgg --part test
  bundle           wheels, weights, notebook for Kaggle        ./run.sh bundle lgg --owner me
  compress         smaller nets: what they save and cost       ./run.sh compress lgg --member lgg_lite0
  study            nets on more and on fewer cases, drawn      ./run.sh study aneja
  pseudo           labels for scans that have none             ./run.sh pseudo lgg --data more_scans
  twins            every winner's system, small, on a phantom  ./run.sh twins uw_3rd
  lb               what was handed in, and CV against LB       ./run.sh lb lgg
                   write down what a submission scored         ./run.sh lb add submission.csv --public 0.889
  diff             how far two submissions agree               ./run.sh diff a.csv b.csv
  vote             the pixels that most submissions have       ./run.sh vote a.csv b.csv c.csv --out v.csv
  help             this list                                   ./run.sh help
END
}

# The active Python's environment and executable, a line each; fails where it has no torch or is older than 3.11.
probe='
import importlib.util, sys
sys.exit(1) if importlib.util.find_spec("torch") is None else print(sys.prefix, sys.executable, sep="\n")'

find_environment() {
    local found
    if [[ -z ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]] && is_current "$here/.venv"; then
        environment=$here/.venv # made when no Python with torch was active; asking again would cost a start of Python
    elif found=$(python3 -P -c "$probe" 2>/dev/null); then
        environment=${found%%$'\n'*}
        python=${found##*$'\n'}
        return
    else
        environment=$here/.venv
    fi
    python=$environment/bin/python
}

wanted=$(cat "$here/requirements.txt" "$here/pyproject.toml" | cksum)
is_current() { [[ -r $1/share/casefold.stamp && $(<"$1/share/casefold.stamp") == "$wanted" ]]; }

make_venv() {
    local base
    for base in python3 python3.11 python3.12 python3.13 python3.14; do
        if "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "run.sh: setting up $environment" >&2
            "$base" -m venv "$environment"
            return
        fi
    done
    echo "run.sh: casefold needs Python 3.11 or newer, and none is on the PATH; install one, or activate" \
        "an environment that has it" >&2
    exit 1
}

# Installs only what is missing: torch alone first, then the rest beside the torch that is there, then one OpenCV.
# Exits with 3 where a second OpenCV had to stay.
install_missing() {
    "$python" -P - "$here" "$environment" <<'END'
import importlib, subprocess, sys, tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    from packaging.requirements import Requirement
except ImportError:
    from pip._vendor.packaging.requirements import Requirement

here, environment = map(Path, sys.argv[1:])
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
TORCH = ("torch", "torchvision")


def pip(*words):
    subprocess.run([sys.executable, "-m", "pip", *words, "--disable-pip-version-check", "--no-input"], check=True)
    importlib.invalidate_caches()


def installed(*names):
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def missing():
    lines = (line.partition("#")[0].strip() for line in (here / "requirements.txt").read_text().splitlines())
    for wish in map(Requirement, filter(None, lines)):
        there = installed(*OPENCV) if wish.name in OPENCV else installed(wish.name)  # one OpenCV stands for all
        if not any(wish.specifier.contains(number, prereleases=True) for number in there.values()):
            if there and wish.name in TORCH:
                print(f"run.sh: keeping {wish.name} {there[wish.name]}, although {wish} is what was tested", file=sys.stderr)
            else:
                yield wish


if torch := [str(wish) for wish in missing() if wish.name in TORCH]:
    pip("install", *torch, *(f"{name}=={number}" for name, number in installed(*TORCH).items()))
if rest := [str(wish) for wish in missing()]:
    pip("install", *rest, *(f"{name}=={number}" for name, number in installed(*TORCH).items()))

several = installed(*OPENCV)
if len(several) > 1:  # they share files under cv2/: only removing all of them leaves none broken
    keep = f"{OPENCV[1]}=={several.get(OPENCV[1], min(several.values()))}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            pip("download", "--quiet", "--retries", "1", "--no-deps", "--dest", folder, keep)
        except subprocess.CalledProcessError:
            print(f"run.sh: {' and '.join(several)} both stay, {keep} can't be fetched; it works all the same", file=sys.stderr)
            sys.exit(3)
        pip("uninstall", "--quiet", "--yes", *several)
        pip("install", "--quiet", "--no-deps", *map(str, Path(folder).iterdir()))

if environment == here / ".venv":  # our own: the `casefold` command and notebooks find the package too
    if not Requirement("setuptools>=70.1").specifier.contains(installed("setuptools").get("setuptools", "0")):
        pip("install", "--quiet", "--upgrade", "setuptools>=70.1")  # older ones need `wheel` to build
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(here))
END
}

set_up() { # the stamp comes last, so that what was interrupted is done again
    local status=0
    is_current "$environment" && return
    "$python" -c 'import pip' 2>/dev/null || [[ $environment != "$here/.venv" ]] || make_venv
    install_missing || status=$?
    ((status == 3)) && return
    ((status == 0)) || exit "$status"
    { mkdir -p "$environment/share" && echo "$wanted" >"$environment/share/casefold.stamp"; } 2>/dev/null ||
        [[ $environment != "$here/.venv" ]] # an active environment may be read-only
}

run_tests() {
    local status=0 all=
    cd "$here"
    if [[ ${1:-} == --all ]]; then
        all=1
        shift
    fi
    "$python" -m ruff check . || status=1
    "$python" -m mypy || status=1
    if (($#)); then # as it is asked for
        "$python" -m pytest ${all:+-m ""} "$@" || status=1
        return "$status"
    fi
    # the everyday ones in two processes of one thread each, the long ones one after another with what they print
    OMP_NUM_THREADS=1 "$python" -m pytest -n 2 --dist loadfile || status=1
    [[ -z $all ]] || "$python" -m pytest -m long || status=1
    return "$status"
}

verb=${1:-help}
(($# == 0)) || shift
case $verb in
help | -h | --help) show_help && exit ;;
demo | test | init | look | check | prepare | folds | train | full | runs | augment | oof | report | tune | compare | submit | score | \
    bundle | compress | study | pseudo | twins | lb | diff | vote) words=("$verb") ;;
fold[0-9] | fold[1-9][0-9]) words=(fold "${verb#fold}") ;;
*)
    echo "run.sh: unknown verb '$verb'; the verbs are: $known" >&2
    exit 2
    ;;
esac

export NO_ALBUMENTATIONS_UPDATE=1 YOLO_OFFLINE=1 YOLO_AUTOINSTALL=0
find_environment
if ! is_current "$environment"; then
    ( # one set-up at a time, where the system can lock
        flock 9 2>/dev/null || true
        set_up >&2
    ) 9<"$here/run.sh"
fi

export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}"
if [[ $verb == test ]]; then
    run_tests "$@"
    exit
fi
export CASEFOLD_DATA="${CASEFOLD_DATA:-$here/data}" CASEFOLD_STORE="${CASEFOLD_STORE:-$here/store}"
export CASEFOLD_RUNS="${CASEFOLD_RUNS:-$here/runs}" CASEFOLD_FOLDS="${CASEFOLD_FOLDS:-$here/folds}"
export CASEFOLD_CONFIGS="${CASEFOLD_CONFIGS:-$here/configs}"
exec "$python" -P -m casefold.cli "${words[@]}" "$@"
