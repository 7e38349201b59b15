"""Say where a job runs and what is installed there, and stop a training that cannot work there.

Runs on the computer, in Pacemaker's own Python, before the programs:

    python probe.py [--evaluator pyace|tensorpot] [--gpus N] [--cpu-will-do]

Writes ``environment.json``. Exit status 3 means: do not begin; any other: go on. What cannot be found out is left open
and never stops a job. Needs nothing but Python (3.8). TensorFlow is imported, in a process of its own, only if GPUs
are asked for: packages are known by their metadata.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import runpy
import socket
import subprocess
import sys
import time
from importlib import util

STOP = 3
SECONDS_FOR_GPUS = 300  # a wedged driver never answers; TensorFlow on a busy network disk takes a minute
PACKAGES = (
    'numpy',
    'pandas',
    'ase',
    'scipy',
    'python-ace',
    'tensorpotential',
    'tensorflow',
    'tensorflow-cpu',
    'nvidia-cuda-runtime-cu12',
    'nvidia-cudnn-cu12',
)
VARIABLES = (
    'SLURM_JOB_ID',
    'SLURM_JOB_PARTITION',
    'SLURM_JOB_NODELIST',
    'SLURMD_NODENAME',
    'SLURM_RESTART_COUNT',
    'PBS_JOBID',
    'LSB_JOBID',
    'JOB_ID',
    'CUDA_VISIBLE_DEVICES',
    'OMP_NUM_THREADS',
)
SECONDS_FOR_NODES = 20
UNUSABLE = ('down', 'drain', 'fail', 'maint', 'unk', 'resv', 'power')
CGROUP_LIMITS = ('memory.max', 'memory.limit_in_bytes')  # version 2 and 1
LIST_DEVICES = 'import tensorflow; print("GPUS", len(tensorflow.config.list_physical_devices("GPU")))'


def installed_packages():
    """Return the versions of the packages that matter."""
    from importlib import metadata

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = str(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return versions


def cpu_count():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def memory_limit_mb():
    """Return the memory in MiB that the job may use: that of its control group, or else all of the node."""
    node = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return min([node, *cgroup_limits()]) // 2**20


def cgroup_limits():
    """Return the limits in bytes of the control groups that this process is in."""
    limits = []
    with open('/proc/self/cgroup') as handle:
        groups = [line.strip().split(':', 2) for line in handle]
    for _, controllers, group in groups:
        folder = '/sys/fs/cgroup/memory' if 'memory' in controllers.split(',') else '/sys/fs/cgroup'
        if controllers not in ('', 'memory'):
            continue
        path = group
        while True:
            limits += read_limits(folder + path)
            if path in ('', '/'):
                break
            path = os.path.dirname(path)
    return limits


def read_limits(folder):
    """Return the limits that stand in one folder of control groups; `max` is none."""
    limits = []
    for name in CGROUP_LIMITS:
        try:
            with open(os.path.join(folder, name)) as handle:
                limits.append(int(handle.read()))
        except (OSError, ValueError):
            continue
    return limits


def other_nodes():
    """Return how many nodes of the job's partition are like its own one and in service; nothing without SLURM.

    SLURM refuses a job that excludes all nodes which it could run on.
    """
    own, partition = os.environ.get('SLURMD_NODENAME'), os.environ.get('SLURM_JOB_PARTITION')
    if not own or not partition:
        return None
    command = ['sinfo', '--noheader', '--Node', '--partition', partition, '--format', '%N|%T|%c|%m|%f|%G']
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=SECONDS_FOR_NODES)
    rows = [line.strip().split('|', 2) for line in done.stdout.decode(errors='replace').splitlines() if '|' in line]
    kinds = {name: kind for name, _, kind in rows}
    usable = {name for name, state, _ in rows if not any(word in state.lower() for word in UNUSABLE)}
    return sum(name != own and kinds[name] == kinds.get(own) for name in usable)


def driver_gpus():
    """Return the GPUs that the NVIDIA driver shows to this process, and the CUDA version that it knows.

    Asked is the driver's own library, as TensorFlow does: it obeys CUDA_VISIBLE_DEVICES, which `nvidia-smi` does not.
    """
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError:
        return [], None
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    known = '%d.%d' % (version.value // 1000, version.value % 1000 // 10)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return [], known
    gpus = []
    for index in range(count.value):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
        cuda.cuDeviceGet(ctypes.byref(device), index)
        cuda.cuDeviceGetName(name, 256, device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        gpus.append({'name': name.value.decode(errors='replace'), 'memory_mb': memory.value // 2**20})
    return gpus, known


def ask_driver():
    """Return what the driver shows, found out in another process: a wedged driver would hang this one."""
    command = [sys.executable, os.path.abspath(__file__), '--driver']
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=SECONDS_FOR_GPUS)
    return json.loads(done.stdout.decode())


def ask_tensorflow():
    """Return the number of GPUs that TensorFlow finds, and what it says where it finds none."""
    done = subprocess.run(
        [sys.executable, '-c', LIST_DEVICES],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=SECONDS_FOR_GPUS,
        env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL='0'),
    )
    found = re.search(r'^GPUS (\d+)$', done.stdout.decode(errors='replace'), re.MULTILINE)
    words = [
        line.strip().split('] ', 1)[-1]
        for line in done.stderr.decode(errors='replace').splitlines()
        if re.search('cuInit|dlopen|cuda drivers|Error', line)
    ]
    if found is None:
        raise RuntimeError('TensorFlow cannot be imported: %s' % (words or ['it says nothing'])[-1])
    return int(found.group(1)), (words or [''])[-1]


def tensorflow_build():
    """Return the versions of CUDA or ROCm that TensorFlow was built for, without importing it; none for the CPU."""
    found = util.find_spec('tensorflow')
    if found is None or not found.submodule_search_locations:
        return None
    path = os.path.join(next(iter(found.submodule_search_locations)), 'python', 'platform', 'build_info.py')
    build = runpy.run_path(path)['build_info']
    return {key: str(build[key]) for key in ('cuda_version', 'cudnn_version', 'rocm_version') if key in build}


def version_of(text):
    """Return the first two numbers of a version, or nothing where it has none."""
    found = re.match(r'(\d+)\.(\d+)', text or '')
    return found and (int(found.group(1)), int(found.group(2)))


def judge_packages(packages, evaluator):
    """Return why a training cannot work with these packages, and what to do; nothing if it can."""
    ours = version_of(packages.get('python-ace'))
    if ours is not None and ours < (0, 4):
        return 'unsuitable_environment', (
            'python-ace is %s, but the input is for 0.4 and later: install `python-ace==0.4.0rc1`'
            % packages['python-ace']
        )
    if evaluator != 'tensorpot':
        return None, ''
    if 'tensorpotential' not in packages and util.find_spec('tensorpotential') is None:
        return 'evaluator_not_available', (
            'the evaluator `tensorpot` needs the package tensorpotential, which is not installed beside python-ace %s '
            'in %s: install `tensorpotential==0.6.2.1` with `numpy<2.4` and `pandas<3` there, or set backend.evaluator '
            'to pyace' % (packages.get('python-ace', '(unknown)'), sys.prefix)
        )
    if util.find_spec('tensorflow') is None:
        return 'evaluator_not_available', (
            'the evaluator `tensorpot` needs TensorFlow, which is not installed beside tensorpotential %s in %s: '
            'install `tensorflow[and-cuda]<2.21` there, or set backend.evaluator to pyace'
            % (packages.get('tensorpotential', '(unknown)'), sys.prefix)
        )
    numpy = version_of(packages.get('numpy'))
    if numpy is not None and numpy >= (2, 4):
        return 'unsuitable_environment', (
            'numpy is %s, but tensorpotential %s works with numpy below 2.4: install `numpy<2.4` in %s, or set '
            'backend.evaluator to pyace' % (packages['numpy'], packages.get('tensorpotential', '(unknown)'), sys.prefix)
        )
    return None, ''


def explain_missing_gpu(facts, words):
    """Return one sentence that says why TensorFlow finds no GPU, as far as it can be seen."""
    packages, gpus = facts['packages'], facts['gpus']
    tensorflow = packages.get('tensorflow', packages.get('tensorflow-cpu', '(unknown)'))
    place = '%s shows ' % facts['hostname']
    devices = facts['variables'].get('CUDA_VISIBLE_DEVICES')
    masked = '' if devices is None else ' (CUDA_VISIBLE_DEVICES is `%s`)' % devices
    place += ', '.join(gpu['name'] for gpu in gpus) if gpus else 'no GPU' + masked
    if facts['tensorflow_build'] == {}:
        return '%s, and TensorFlow %s is built without CUDA: install `tensorflow[and-cuda]`' % (place, tensorflow)
    if not gpus:
        return '%s: check the queue, the request and the driver' % place
    return '%s, but TensorFlow %s cannot use it: %s' % (place, tensorflow, words or 'it does not say why')


def attempt(facts, key, find):
    """Fill in one fact; one that cannot be found out is noted and stays open."""
    try:
        facts[key] = find()
    except Exception as error:
        facts['notes'].append('%s: %s: %s' % (key, type(error).__name__, str(error)[:300]))


def find_gpus(facts):
    """Ask driver and TensorFlow for GPUs, and say why there is none."""
    attempt(facts, 'driver', ask_driver)
    facts['gpus'], facts['cuda_driver'] = facts.pop('driver', None) or (None, None)
    facts['tensorflow'] = (0, '') if facts['tensorflow_build'] == {} else None
    if facts['tensorflow'] is None:
        attempt(facts, 'tensorflow', ask_tensorflow)
    facts['tensorflow_gpus'], words = facts.pop('tensorflow') or (None, '')
    if facts['tensorflow_gpus'] == 0:
        facts['detail'] = explain_missing_gpu(facts, words)


def probe(evaluator, gpus, cpu_will_do):
    """Return all facts, and the verdict on them."""
    start = time.time()
    facts = {
        'python': platform.python_version(),
        'executable': sys.executable,
        'hostname': socket.gethostname(),
        'packages': {},
        'variables': {name: os.environ[name] for name in VARIABLES if name in os.environ},
        'gpus': None,
        'cuda_driver': None,
        'tensorflow_build': None,
        'tensorflow_gpus': None,
        'cpus': None,
        'memory_limit_mb': None,
        'other_nodes': None,
        'evaluator': evaluator,
        'gpus_asked': gpus,
        'verdict': None,
        'detail': '',
        'notes': [],
    }
    attempt(facts, 'packages', installed_packages)
    attempt(facts, 'cpus', cpu_count)
    attempt(facts, 'memory_limit_mb', memory_limit_mb)
    attempt(facts, 'other_nodes', other_nodes)
    facts['verdict'], facts['detail'] = (
        judge_packages(facts['packages'], evaluator) if facts['packages'] else (None, '')
    )
    if evaluator == 'tensorpot':
        attempt(facts, 'tensorflow_build', tensorflow_build)
    if gpus and facts['verdict'] is None:
        find_gpus(facts)
        if facts['tensorflow_gpus'] == 0 and not cpu_will_do:
            facts['verdict'] = 'gpu_not_found'
    facts['probe_seconds'] = round(time.time() - start, 3)
    return facts


def main():
    """Write what was found, and say by the exit status whether to begin."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--evaluator')
    parser.add_argument('--gpus', type=int, default=0)
    parser.add_argument('--cpu-will-do', action='store_true')
    parser.add_argument('--driver', action='store_true')
    arguments = parser.parse_args()
    if arguments.driver:
        json.dump(driver_gpus(), sys.stdout)
        return 0
    facts = probe(arguments.evaluator, arguments.gpus, arguments.cpu_will_do)
    with open('environment.json', 'w') as handle:
        json.dump(facts, handle, indent=2, sort_keys=True)
    return STOP if facts['verdict'] else 0


if __name__ == '__main__':
    sys.exit(main())
