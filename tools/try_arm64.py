"""Run the project on ARM64 without such a machine: Debian for ARM64 in a folder, emulated by QEMU.

    apt-get install mmdebstrap arch-test qemu-user-static binfmt-support
    python -m tools.try_arm64 FOLDER [--photos PHOTOS] [--model FILE ...] [--tests PATH ...]

Linux, as root. In a container or a virtual machine without services the packages do not start what they need:

    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; update-binfmts --enable qemu-aarch64

Makes a Debian with Python in FOLDER (once), fetches the wheels for ARM64, copies the committed files, and there runs
the README's first command, the smoke tests of tools/build_function.py and those of prompts, or the given ones, and
tools/compare_machines.py against this machine. The processor is a Raspberry Pi 5's Cortex-A76, or a Pi 4's Cortex-A72,
which has no dot product (--cpu cortex-a72). All of it takes an hour of one core or more: emulation computes some ten to
fifty times as slowly, so its times say nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.build_function import SMOKE

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples"
RELEASE, PYTHON = "bookworm", "3.11"
PROMPTS = (
    "masks/test_candidates.py",
    "masks/test_clicks.py",
    "masks/test_corrector.py",
    "masks/test_decoder.py",
    "masks/test_refine.py",
    "masks/test_views.py",
    "results/test_mask_prompts.py",
    "results/test_redrawing.py",
)
"""Tests of what draws answers to prompts; they build networks, so that `SMOKE` cannot have them."""
PLATFORMS = (*(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)), "manylinux2014_aarch64")
"""Tags of wheels that run with the C library of `RELEASE`, 2.36."""

CPUS = {
    "cortex-a76": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "0xd0b",
    ),
    "cortex-a72": ("fp asimd evtstrm crc32 cpuid", "0xd08"),
}
"""Features and part numbers of processors."""
CPUINFO = """processor	: {core}
BogoMIPS	: 108.00
Features	: {features}
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: {part}
CPU revision	: 1

"""
"""QEMU 7 shows the host's, which ONNX Runtime takes for the processor's and crashes on."""

INSIDE = """
set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount --bind -o ro /sys "$1/sys"
mount --bind "$1/cpuinfo" "$1/proc/cpuinfo"
exec chroot "$1" /bin/bash -c "cd /source; $2"
"""
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/wheels",
    "PIP_NO_CACHE_DIR": "1",
    "OMP_NUM_THREADS": "1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where the system lies, or shall be made: 1 GB")
    parser.add_argument("--photos", metavar="FOLDER", type=Path, default=PHOTOS, help="JPEG files to compare")
    parser.add_argument("--limit", metavar="N", type=int, default=10, help="the first N of them")
    parser.add_argument("--model", metavar="FILE", type=Path, action="append", default=[], help="to compare, besides")
    parser.add_argument("--cpu", choices=CPUS, default="cortex-a76", help="processor to emulate (default: %(default)s)")
    parser.add_argument("--tests", metavar="PATH", nargs="+", default=[f"tests/{name}" for name in (*SMOKE, *PROMPTS)])
    options = parser.parse_args(arguments)
    system = options.folder.resolve()
    if not (system / "usr").is_dir():
        make_system(system)
    fetch_wheels(system / "wheels")
    copy_source(system / "source")
    features, part = CPUS[options.cpu]
    cores = range(os.cpu_count() or 1)
    (system / "cpuinfo").write_text("".join(CPUINFO.format(core=core, features=features, part=part) for core in cores))
    os.environ["QEMU_CPU"] = options.cpu
    print("\n== README: the main job ==", flush=True)
    inside(system, f"uname -m; set -ex; {readme_command('main job')}; ls -l out; du -sm .venv")
    print("\n== tests ==", flush=True)
    setup, _, _ = readme_command("tests").rpartition("\n")
    inside(system, f"set -e; {setup}")
    failed = inside(system, f".venv/bin/python -m pytest -q -m 'not process' {shlex.join(options.tests)}", check=False)
    print("\n== this machine and that one ==", flush=True)
    compare(system, options.photos, options.limit, options.model)
    return failed


def make_system(system: Path) -> None:
    command = ["mmdebstrap", "--arch=arm64", "--variant=minbase", "--include=python3,python3-venv", RELEASE]
    subprocess.run([*command, str(system)], check=True)


def fetch_wheels(target: Path) -> None:
    """What the package and its tests need, and pip itself, for ARM64."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = {*project["project"]["dependencies"], *project["build-system"]["requires"], *group(project, "test")}
    wanted |= {"pip", "editables"}  # hatchling asks for the latter when it makes an editable install
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(target)]
    command += ["--python-version", PYTHON, "--implementation", "cp"]
    command += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    command += [f"--platform={tag}" for tag in PLATFORMS]
    subprocess.run([*command, *sorted(wanted)], check=True)


def group(project: dict[str, dict[str, list[str | dict[str, str]]]], name: str) -> Iterator[str]:
    """The packages of a dependency group."""
    for each in project["dependency-groups"][name]:
        if isinstance(each, str):
            yield each
        else:
            yield from group(project, each["include-group"])


def copy_source(target: Path) -> None:
    """The committed files, without what a run before has left there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)


def readme_command(name: str) -> str:
    """The fenced block that follows the marker, as .ci/run takes it."""
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)\n```", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"README.md lacks its command <!-- {name} -->")
    return found[1]


def inside(system: Path, command: str, *, check: bool = True) -> int:
    """Run a shell command there, in /source; mounts of its own go with it."""
    environment = {**ENVIRONMENT, "QEMU_CPU": os.environ["QEMU_CPU"]}
    outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", str(system), command]
    return subprocess.run(outer, env=environment, check=check).returncode


def compare(system: Path, photos: Path, limit: int, models: Sequence[Path]) -> None:
    shutil.rmtree(system / "try", ignore_errors=True)
    shared = system / "try" / "photos"
    shared.mkdir(parents=True)
    for path in sorted(photos.glob("*.jpg"))[:limit]:
        shutil.copy(path, shared)
    for path in models:
        shutil.copy(path, shared.parent)
    tool = ROOT / "tools" / "compare_machines.py"
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, "here.npz")
        given = [f"--model={path}" for path in models]
        subprocess.run([sys.executable, str(tool), "write", str(here), f"--photos={shared}", *given], check=True)
        given = [f"--model=/try/{path.name}" for path in models]
        command = [".venv/bin/python", f"tools/{tool.name}", "write", "/try/there.npz", "--photos=/try/photos", *given]
        inside(system, shlex.join(command))
        subprocess.run([sys.executable, str(tool), "compare", str(here), str(system / "try" / "there.npz")], check=True)


if __name__ == "__main__":
    sys.exit(main())
