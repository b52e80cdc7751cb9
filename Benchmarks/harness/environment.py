"""A Python environment of the benchmarks' own, and the programs that they start. Needs the standard library only."""

import os
import pathlib
import subprocess
import sys
import venv

BENCHMARKS = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = BENCHMARKS.parent
RESULTS = BENCHMARKS / "results"
WORDNET = pathlib.Path(os.environ.get("SHOAL_TEST_DATA", REPOSITORY.parent / "shared/data"))
_ENVIRONMENT = BENCHMARKS / ".venv"


def enter():
    """Goes on in the benchmarks' environment, which it makes or completes first."""
    if pathlib.Path(sys.prefix) == _ENVIRONMENT:
        return
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(_ENVIRONMENT, with_pip=True)
    requirements, installed = BENCHMARKS / "requirements.txt", _ENVIRONMENT / "installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        subprocess.run(pip, check=True)
        installed.write_text(requirements.read_text())
    os.execv(python, [str(python), *sys.argv])


def add_program_option(parser):
    parser.add_argument(
        "--program", type=pathlib.Path, help="the index-benchmark to measure; built from this repository without it"
    )


def program(arguments):
    """The program that drives Shoal's index and shards."""
    if arguments.program:
        return arguments.program
    build = ["swift", "build", "-c", "release", "--product", "index-benchmark", "--package-path", str(REPOSITORY)]
    subprocess.run(build, check=True, stdout=sys.stderr)
    return REPOSITORY / ".build/release/index-benchmark"


def build_server():
    """Builds the release binary, unless SHOAL_BINARY names one that is there."""
    if "SHOAL_BINARY" not in os.environ:
        subprocess.run([REPOSITORY / "Scripts/build"], check=True, stdout=sys.stderr)
