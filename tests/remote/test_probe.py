"""The script that looks at the computer before a training begins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.outputs.environment import Environment, EnvironmentVerdict, parse_environment

PROBE = Path(str(resources.files('aiida_autopipec.remote') / 'probe.py'))
GOOD = {'python-ace': '0.4.0rc1', 'numpy': '2.3.5', 'tensorpotential': '0.6.2.1', 'tensorflow': '2.20.0'}
CUDA_BUILD = {'cuda_version': '12.5.1', 'cudnn_version': '9', 'is_cuda_build': True}
CPU_BUILD = {'is_cuda_build': False}
DRIVER = r"""
#include <string.h>
#include <stddef.h>
#include <stdlib.h>
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuInit(unsigned int flags) { return getenv("WEDGED") ? 999 : flags; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 7; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, device == 7 ? "NVIDIA H100 80GB HBM3" : "NVIDIA A30", length); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)85045870592; return 0; }
"""


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that lays out a folder of packages, as far as the probe looks at them."""

    def make(versions: dict[str, str], build: dict[str, Any] | None = None, code: str = '') -> Path:
        folder = tmp_path / 'site'
        for name, version in versions.items():
            info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
            info.mkdir(parents=True)
            (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        if build is not None:
            platform = folder / 'tensorflow' / 'python' / 'platform'
            platform.mkdir(parents=True)
            (folder / 'tensorflow' / '__init__.py').write_text(code)
            (platform / 'build_info.py').write_text(f'build_info = {build!r}\n')
        return folder

    return make


@pytest.fixture
def probe(tmp_path: Path) -> Callable[..., tuple[int, Environment]]:
    """Return a function that runs the script in a Python that has nothing but one folder of packages."""

    def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, Environment]:
        environment = {'PYTHONPATH': str(folder), 'PATH': os.environ['PATH'], **variables}
        work = tmp_path / 'work'
        work.mkdir(exist_ok=True)
        command = [sys.executable, '-S', str(PROBE), *arguments]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ''
        return done.returncode, parse_environment((work / 'environment.json').read_bytes())

    return run


def tensorflow_with(gpus: int, says: str = '') -> str:
    """Return the code of a package that finds GPUs."""
    lines = ['import sys', f'sys.stderr.write({says!r})', 'class config:', '    @staticmethod']
    return '\n'.join([*lines, '    def list_physical_devices(kind):', f'        return [kind] * {gpus}', ''])


def test_the_running_python(tmp_path: Path) -> None:
    """What is installed here is reported as it is, in a second and without loading it."""
    done = subprocess.run([sys.executable, str(PROBE)], cwd=tmp_path, check=True, capture_output=True)
    assert done.stderr == b''
    environment = parse_environment((tmp_path / 'environment.json').read_bytes())
    import numpy as np

    assert environment.packages['numpy'] == np.__version__
    assert Path(environment.executable).parent == Path(sys.executable).parent
    assert environment.cpus == len(os.sched_getaffinity(0))
    assert environment.verdict is None
    assert environment.gpus is None
    assert environment.notes == []
    assert environment.probe_seconds < 5
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2**20
    assert environment.memory_limit_mb is not None
    assert 0 < environment.memory_limit_mb <= memory


def test_the_scheduler_says_where(site: Any, probe: Any) -> None:
    """Job and node are those of the scheduler."""
    _, environment = probe(site(GOOD), SLURM_JOB_ID='17', SLURMD_NODENAME='gpu003', OTHER='x')
    assert environment.variables == {'SLURM_JOB_ID': '17', 'SLURMD_NODENAME': 'gpu003'}


def test_a_good_environment_goes_on(site: Any, probe: Any) -> None:
    """Packages that fit are no reason to stop; CUDA is known without loading TensorFlow, which would fail here."""
    status, environment = probe(site(GOOD, CUDA_BUILD, code='raise SystemExit(1)'), '--evaluator', 'tensorpot')
    assert (status, environment.verdict) == (0, None)
    assert environment.tensorflow_build == {'cuda_version': '12.5.1', 'cudnn_version': '9'}
    assert environment.tensorflow_gpus is None


@pytest.mark.parametrize(
    ('changes', 'verdict', 'words'),
    [
        ({'tensorpotential': None}, 'evaluator_not_available', ('tensorpotential', '0.4.0rc1', 'numpy<2.4')),
        ({'tensorflow': None}, 'evaluator_not_available', ('TensorFlow', '0.6.2.1')),
        ({'numpy': '2.4.0'}, 'unsuitable_environment', ('2.4.0', 'numpy<2.4', '0.6.2.1')),
        ({'numpy': '3.0'}, 'unsuitable_environment', ('3.0', 'numpy<2.4')),
        ({'python-ace': '0.3.1'}, 'unsuitable_environment', ('0.3.1', 'python-ace==0.4.0rc1')),
    ],
)
def test_what_cannot_work_is_stopped(
    site: Any, probe: Any, changes: dict[str, str | None], verdict: str, words: tuple[str, ...]
) -> None:
    """Each unsuitable set of packages stops the training, with versions and what to do in one sentence."""
    versions = {name: version for name, version in {**GOOD, **changes}.items() if version is not None}
    build = CUDA_BUILD if 'tensorflow' in versions else None
    status, environment = probe(site(versions, build), '--evaluator', 'tensorpot', '--gpus', '1')
    assert status == 3
    assert environment.verdict is EnvironmentVerdict(verdict)
    assert all(word in environment.detail for word in words), environment.detail


def test_pyace_needs_neither(site: Any, probe: Any) -> None:
    """New numpy and a missing evaluator are no concern of a training with `pyace`, an old Pacemaker is."""
    folder = site({'python-ace': '0.4.0', 'numpy': '2.4.6'})
    assert probe(folder, '--evaluator', 'pyace')[0] == 0
    shutil.rmtree(folder)
    assert probe(site({'python-ace': '0.3.0', 'numpy': '1.26.4'}), '--evaluator', 'pyace')[0] == 3


def test_a_pacemaker_without_metadata_is_not_judged(site: Any, probe: Any) -> None:
    """What cannot be found out never stops a job."""
    assert probe(site({'numpy': '2.3.5'}), '--evaluator', 'pyace')[0] == 0


def test_a_gpu_that_is_there(site: Any, probe: Any) -> None:
    """A GPU that TensorFlow finds is counted, and the training begins."""
    folder = site(GOOD, CUDA_BUILD, code=tensorflow_with(1))
    status, environment = probe(folder, '--evaluator', 'tensorpot', '--gpus', '1')
    assert (status, environment.tensorflow_gpus, environment.gpu_missing) == (0, 1, False)


def test_no_gpu_where_one_was_asked_for(site: Any, probe: Any) -> None:
    """Without a GPU the training is not begun, unless the CPU will do."""
    folder = site(GOOD, CUDA_BUILD, code=tensorflow_with(0, 'E0000] failed call to cuInit: NO_DEVICE\n'))
    arguments = ('--evaluator', 'tensorpot', '--gpus', '1')
    status, environment = probe(folder, *arguments, CUDA_VISIBLE_DEVICES='')
    assert (status, environment.verdict) == (3, EnvironmentVerdict.GPU_NOT_FOUND)
    assert 'CUDA_VISIBLE_DEVICES is ``' in environment.detail
    status, environment = probe(folder, *arguments, '--cpu-will-do')
    assert (status, environment.verdict, environment.gpu_missing) == (0, None, True)
    assert 'shows no GPU' in environment.detail


def test_tensorflow_without_cuda(site: Any, probe: Any) -> None:
    """A CPU build is known without loading it, and named."""
    versions = {**GOOD, 'tensorflow-cpu': '2.20.0'}
    del versions['tensorflow']
    folder = site(versions, CPU_BUILD, code='raise SystemExit(1)')
    status, environment = probe(folder, '--evaluator', 'tensorpot', '--gpus', '1')
    assert status == 3
    assert 'TensorFlow 2.20.0 is built without CUDA: install `tensorflow[and-cuda]`' in environment.detail


def test_tensorflow_that_cannot_be_imported(site: Any, probe: Any) -> None:
    """A check that fails is noted, and leaves the judgement to the training itself."""
    folder = site(GOOD, CUDA_BUILD, code='raise ImportError("libfoo.so.3")')
    status, environment = probe(folder, '--evaluator', 'tensorpot', '--gpus', '1')
    assert (status, environment.tensorflow_gpus) == (0, None)
    assert 'libfoo.so.3' in environment.notes[0]


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """Return a folder with a library that answers as the NVIDIA driver does."""
    compiler = shutil.which('cc')
    if compiler is None:
        pytest.skip('needs a C compiler')
    folder = tmp_path / 'driver'
    folder.mkdir()
    (folder / 'cuda.c').write_text(DRIVER)
    command = [compiler, '-shared', '-fPIC', '-o', str(folder / 'libcuda.so.1'), str(folder / 'cuda.c')]
    subprocess.run(command, check=True)
    return folder


def test_what_the_driver_shows(site: Any, probe: Any, driver: Path) -> None:
    """Names and memory of the GPUs come from the library of the driver; if TensorFlow finds none, it says why."""
    says = 'W0000 00:00 gpu_device.cc:2341] Cannot dlopen some GPU libraries. Please make sure...\n'
    folder = site(GOOD, CUDA_BUILD, code=tensorflow_with(0, says))
    arguments = ('--evaluator', 'tensorpot', '--gpus', '1')
    status, environment = probe(folder, *arguments, LD_LIBRARY_PATH=str(driver))
    assert status == 3
    assert environment.cuda_driver == '12.4'
    assert [gpu.name for gpu in environment.gpus or []] == ['NVIDIA H100 80GB HBM3', 'NVIDIA A30']
    assert (environment.gpus or [])[0].memory_mb == 81106
    assert 'NVIDIA A30, but TensorFlow 2.20.0 cannot use it: Cannot dlopen some GPU libraries' in environment.detail
    _, environment = probe(folder, *arguments, LD_LIBRARY_PATH=str(driver), WEDGED='1')
    assert (environment.gpus, environment.cuda_driver) == ([], '12.4')


NODES = """\
node1|mixed|2|6000|(null)|gpu:h100:1
node2|idle|2|6000|(null)|gpu:h100:1
node3|idle|2|6000|(null)|(null)
node4|down*|2|6000|(null)|gpu:h100:1
node5|drained|2|6000|(null)|gpu:h100:1
"""


@pytest.mark.parametrize(('own', 'others'), [('node1', 1), ('node4', 2), ('node3', 0), ('gone', 0)])
def test_other_nodes_are_those_in_service_that_are_alike(
    site: Any, probe: Any, tmp_path: Path, own: str, others: int
) -> None:
    """Nodes of another kind, and those that are down, are no place for the job."""
    (tmp_path / 'bin').mkdir()
    sinfo = tmp_path / 'bin' / 'sinfo'
    sinfo.write_text(f'#!/bin/sh\n[ "$4" = gpu ] && cat <<X\n{NODES}X\n')
    sinfo.chmod(0o755)
    path = f'{tmp_path / "bin"}:{os.environ["PATH"]}'
    _, environment = probe(site(GOOD, CUDA_BUILD), PATH=path, SLURMD_NODENAME=own, SLURM_JOB_PARTITION='gpu')
    assert (environment.other_nodes, environment.notes) == (others, [])


def test_without_slurm_no_other_node_is_known(site: Any, probe: Any) -> None:
    """Other schedulers are not asked."""
    _, environment = probe(site(GOOD, CUDA_BUILD))
    assert (environment.other_nodes, environment.notes) == (None, [])


def test_the_file_is_plain_json(site: Any, probe: Any, tmp_path: Path) -> None:
    """The file holds no key that the parser does not know."""
    probe(site(GOOD, CUDA_BUILD))
    assert set(json.loads((tmp_path / 'work' / 'environment.json').read_text())) == set(Environment.model_fields)
