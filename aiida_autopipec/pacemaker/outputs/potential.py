"""B-basis potentials (``.yaml``): what they contain, and the edits that comparing and refitting need.

The format is the one that ``BBasisConfiguration.save`` writes (python-ace 0.4.0rc1): ``metadata``, ``global`` and one
entry of ``species`` per block (``Cu``, ``Al Cu``, …), whose ``nbody`` lists the functions, the central element first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY
from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError

#: Largest potential that is parsed (bytes); 10 000 functions take about 2 MB.
MAX_BYTES = 64 * 1024 * 1024
#: Collections inside each other; potentials have six.
_MAX_DEPTH = 16
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

#: The key whose presence makes ``pacemaker -p`` skip the fit (``cycle_fitting`` in ``pyace/generalfit.py``).
_FIT_HISTORY = frozenset({'_fit_cycles'})
_TIMES_AND_USER = frozenset({'starttime', 'intermediate_time', 'user'})


@dataclass(frozen=True)
class PotentialInfo:
    """Facts about a potential.

    :param elements: sorted chemical symbols.
    :param n_functions: functions by central element.
    :param n_densities: densities of the embedding by element.
    :param cutoff: largest bond cutoff (Å).
    :param delta_spline_bins: spacing of the radial splines (Å).
    :param metadata: as in the file, all values as text.
    :param reference_energy: single-atom energies (eV) that Pacemaker subtracted from the labels before the fit, by
        element, with ``shift`` per atom; ``None`` where it subtracted nothing itself.
    :param loss: of the fit that the potential comes from; ``None`` for an untrained one.
    :param finite: no coefficient is NaN or infinite.
    """

    elements: tuple[str, ...]
    n_functions: Mapping[str, int]
    n_densities: Mapping[str, int]
    cutoff: float
    delta_spline_bins: float
    metadata: Mapping[str, str]
    reference_energy: Mapping[str, float] | None
    loss: float | None
    finite: bool

    @property
    def total_functions(self) -> int:
        """Return the number of functions over all elements."""
        return sum(self.n_functions.values())


def parse_potential(text: str) -> PotentialInfo:
    """Read a B-basis potential.

    :param text: content of the ``.yaml`` file.
    :raises UnsafeFileError: if the text is too large or nested in a way that no potential is.
    :raises FileFormatError: if it is not a B-basis potential; a ``.yace`` and an ``input.yaml`` are not.
    """
    document = _load(text)
    blocks = document.get('species')
    if not isinstance(blocks, list) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise FileFormatError(
            'the file has no list `species`: give a B-basis potential (`.yaml`), not a `.yace` or input.'
        )
    metadata = _metadata(document)
    try:
        singles = {str(block['speciesblock']): block for block in blocks if ' ' not in str(block['speciesblock'])}
        return PotentialInfo(
            elements=tuple(sorted(singles)),
            n_functions=_count_functions(singles, blocks),
            n_densities={element: int(block['ndensityi']) for element, block in singles.items()},
            cutoff=max(float(block['rcutij']) for block in blocks if 'rcutij' in block),
            delta_spline_bins=float(document['global']['DeltaSplineBins']),
            metadata=metadata,
            reference_energy=_reference_energy(metadata.get('reference_energy')),
            loss=float(metadata['_loss']) if '_loss' in metadata else None,
            finite=re.search(r'[\[,]\s*-?\.?(?:nan|inf)', text, re.IGNORECASE) is None,
        )
    except KeyError as error:
        raise FileFormatError(f'the potential lacks {error}: it was not written by Pacemaker, or is damaged.') from None
    except (TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f'the potential is damaged: {error}; write it again with Pacemaker.') from None


def _count_functions(singles: Mapping[str, object], blocks: list[dict[str, Any]]) -> dict[str, int]:
    """Return the functions by central element, the first of each block's name."""
    counts = dict.fromkeys(sorted(singles), 0)
    for block in blocks:
        counts[str(block['speciesblock']).split()[0]] += len(block.get('nbody') or ())
    return counts


def _metadata(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata as text."""
    metadata = document.get('metadata') or {}
    if not isinstance(metadata, dict) or any(isinstance(value, (dict, list)) for value in metadata.values()):
        raise FileFormatError('`metadata` of the potential must map names to single values; remove what is nested.')
    return {str(key): str(value) for key, value in metadata.items()}


def _reference_energy(written: str | None) -> dict[str, float] | None:
    """Return the numbers of the JSON that Pacemaker writes; what a user wrote in another form stays in the metadata."""
    try:
        energies = json.loads(written or 'null')
        return {str(key): float(value) for key, value in energies.items()} if isinstance(energies, dict) else None
    except (TypeError, ValueError, RecursionError):
        return None


def _load(text: str) -> dict[str, Any]:
    """Return the YAML document of untrusted text."""
    if len(text) > MAX_BYTES:
        message = f'the potential has {len(text)} characters, more than {MAX_BYTES}; Pacemaker cannot have made it.'
        raise UnsafeFileError(message)
    try:
        _refuse_unsafe(yaml.parse(text, Loader=_LOADER))
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - it is one of the two safe loaders
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, UnsafeFileError):
            raise
        problem = str(error).splitlines()[0]
        raise FileFormatError(f'the potential is not YAML ({problem}); give the file that Pacemaker wrote.') from None
    if not isinstance(document, dict):
        raise FileFormatError('the file holds no potential: a potential is a YAML mapping with `species`.')
    return document


def _refuse_unsafe(events: Iterable[object]) -> None:
    """Raise at the first event that leads to unbounded stack, time or memory.

    Parsing into events needs no recursion, but composing them does: libyaml's binding dies by SIGSEGV on 200 000 open
    brackets. Aliases multiply their content through merge keys.
    """
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise UnsafeFileError('the potential has YAML aliases, which Pacemaker never writes; refuse this file.')
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise UnsafeFileError(
                    'the potential is nested deeper than any that Pacemaker writes; refuse this file.'
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def strip_fit_history(text: str) -> str:
    """Return the potential without the note that its fit cycles are finished.

    ``pacemaker -p interim_potential_best_cycle.yaml`` skips the fit as long as ``_fit_cycles`` stands in the metadata.
    Nothing else changes; a text without the note comes back as it is.

    :param text: content of the ``.yaml`` file.
    """
    return _without_metadata(text, _FIT_HISTORY.__contains__)


def canonical_potential_text(text: str) -> str:
    """Return the potential without time stamps, user, versions and what this package noted, to compare byte for byte.

    :param text: content of the ``.yaml`` file.
    """
    unwanted = {*_TIMES_AND_USER, METADATA_KEY}
    return _without_metadata(text, lambda key: key in unwanted or key.endswith('_version'))


def with_metadata(text: str, key: str, value: str) -> str:
    """Return the potential with a note in its metadata, in the place of an older one of that name.

    Pacemaker reads it, and keeps it in what it trains from there; it carries none over from its own input
    (python-ace 0.4.0rc1).

    :param text: content of the ``.yaml`` file.
    :param key: letters, digits and underscores.
    :param value: one line.
    """
    kept = _without_metadata(text, lambda name: name == key)
    line = f'  {key}: {json.dumps(value)}\n'  # a JSON string is a YAML scalar in double quotes
    head, found, tail = kept.partition('metadata:\n')
    return f'{head}{found}{line}{tail}' if found and (not head or head.endswith('\n')) else f'metadata:\n{line}{kept}'


def _without_metadata(text: str, unwanted: Callable[[str], bool]) -> str:
    """Return the text without the lines of some keys in the block ``metadata``."""
    kept = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.strip() and not line[0].isspace():
            inside = line.startswith('metadata:')
        match = re.match(r'\s+([\w.-]+):', line)
        if not (inside and match and unwanted(match[1])):
            kept.append(line)
    return ''.join(kept)
