"""What to say about a key that is not known where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from aiida_autopipec.pacemaker.config.settings import ANY, Path, Setting, matches
from aiida_autopipec.pacemaker.config.species import SYMBOLS

_INITIAL = 'belongs to the calculation: pass the potential as the input initial_potential'
_LEGACY = 'is the old form for a single element: use elements, embeddings, bonds and functions'

#: Keys that exist in some input file, and why they do not stand here. ``*`` is any elements.
ADVICE: dict[Path, str] = {
    ('cutoff',): 'is ignored by Pacemaker 0.4, which takes the largest rcut of potential.bonds; remove it',
    ('callbacks',): 'is not read there; use fit.callbacks, with the top-level key allow_callbacks',
    ('data', 'filename'): 'belongs to the calculation: pass the structures as the input dataset',
    ('data', 'test_filename'): 'belongs to the calculation: pass the structures as the input test_dataset',
    ('data', 'test_size'): 'would split anew in each run: use the split of the WorkChain or the input test_dataset',
    ('data', 'datapath'): 'belongs to the calculation: pass the structures as the inputs dataset and test_dataset',
    ('data', 'seed'): 'is not read by Pacemaker; use the top-level key seed',
    ('potential', 'filename'): _INITIAL,
    ('potential', 'initial_potential'): _INITIAL,
    ('potential', 'metadata'): 'is not read there; use the top-level key metadata',
    ('potential', 'element'): _LEGACY,
    ('potential', 'nradmax'): _LEGACY,
    ('potential', 'lmax'): _LEGACY,
    ('potential', 'func_coefs_init'): _LEGACY,
    ('fit', 'optimizer_options'): 'is not read by Pacemaker; use fit.options',
    ('fit', 'options', 'maxiter'): 'would compete with fit.maxiter; set that instead',
    ('fit', 'weighting', 'cutoff'): 'is ignored by Pacemaker; remove it',
    ('fit', 'weighting', 'filename'): 'is not possible: give the weights with the structures of the dataset',
}
_STRESS = 'is not possible: Pacemaker has no stress term in its loss'


def unknown_key(path: Path, settings: Sequence[Setting]) -> str:
    """Return what is wrong with a key that has no meaning at its place, and the nearest key that has one.

    :param path: the keys that lead to it.
    :param settings: all settings that exist.
    """
    if path in ADVICE:
        return ADVICE[path]
    name = path[-1]
    siblings = [setting.path[-1] for setting in settings if matches(setting.path[:-1], path[:-1])]
    if name in siblings:
        return 'must not stand beside potential.reset, which takes the shape from the input initial_potential'
    if 'stress' in name.lower() or 'virial' in name.lower():
        return _STRESS
    elsewhere = _shortest(setting for setting in settings if setting.path[-1].lower() == name.lower())
    near = nearest(name, siblings)
    if near is not None and (elsewhere is None or near.lower() == name.lower()):
        return f'unknown key; did you mean {dotted((*path[:-1], near))}?'
    if elsewhere is not None:
        return f'unknown key here; did you mean {elsewhere.name}?'
    owned = nearest(name, [key[-1] for key in ADVICE if key[:-1] == path[:-1]])
    if owned is not None:
        return f'unknown key; did you mean {dotted((*path[:-1], owned))}, which {ADVICE[(*path[:-1], owned)]}?'
    distant = nearest(name, [setting.path[-1] for setting in settings])
    if distant is not None:
        target = _shortest(setting for setting in settings if setting.path[-1] == distant)
        return f'unknown key; did you mean {target.name if target else distant}?'
    return f'unknown key; the keys here are {", ".join(dict.fromkeys(siblings))}'


def unknown_species(path: Path, keywords: Sequence[str], largest: int, settings: Sequence[Setting]) -> str:
    """Return what is wrong with a key that should stand for elements.

    :param path: the keys that lead to it.
    :param keywords: ``ALL``, ``UNARY``, … as far as they are allowed there.
    :param largest: the largest number of elements in such a key.
    :param settings: all settings that exist.
    """
    name = path[-1]
    siblings = [setting.path[-1] for setting in settings if matches(setting.path[:-1], path[:-1])]
    near = nearest(name, [*keywords, *(sibling for sibling in siblings if sibling != ANY), *sorted(SYMBOLS)])
    if near is not None and near != name:
        return f'unknown key; did you mean {dotted((*path[:-1], near))}?'
    size = 'an element' if largest == 1 else 'a pair of elements' if largest == 2 else 'elements'
    return f'unknown key; the keys here are {", ".join(keywords)} or {size}'


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a person most likely meant, or nothing if none is near."""
    by_lower: dict[str, str] = {}
    for candidate in candidates:
        by_lower.setdefault(candidate.lower(), candidate)
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def dotted(path: Path) -> str:
    """Return a path as text, with list positions in brackets: ``potential.elements[0]``."""
    text = ''
    for part in path:
        text += part if not text else f'[{part}]' if part.isdigit() else f'.{part}'
    return text


def _shortest(settings: Iterable[Setting]) -> Setting | None:
    return min(settings, key=lambda setting: len(setting.path), default=None)
