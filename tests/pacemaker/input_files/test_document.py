"""YAML is read as Pacemaker reads it, and hostile YAML is not read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.input_files.document import read_document, read_mapping

SCALARS = ['1e-8', '1.e3', '.5', '010', '0o17', '0x1F', '1_000', 'yes', 'No', 'on', 'true', 'True', '~', 'null',
           '12:30', '-.inf', '1.', '+3', 'text', '"7"', '-2.5E+3']  # fmt: skip


@pytest.mark.pacemaker
def test_scalars_mean_what_they_mean_to_pacemaker() -> None:
    """Every scalar has the value that Pacemaker's own reader gives it, unlike in YAML 1.1."""
    text = ''.join(f'k{number}: {scalar}\n' for number, scalar in enumerate(SCALARS))
    program = "import ruamel.yaml, sys; print(dict(ruamel.yaml.YAML(typ='safe', pure=True).load(sys.stdin)))"
    done = subprocess.run(
        [sys.executable, '-c', program], input=text, capture_output=True, text=True, check=True, timeout=60
    )
    assert str(read_document(text).data) == done.stdout.strip()


def test_merge_keys_and_aliases_are_understood() -> None:
    """An input may say a thing once and refer to it."""
    document = read_document('a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n')
    assert document.data == {'a': {'p': 1, 'q': 2}, 'b': {'p': 1, 'q': 3}, 'c': {'p': 1, 'q': 2}}
    assert document.duplicates == ()


def test_lines_are_those_of_the_keys() -> None:
    """Each key has its line, also in flow mappings; a key that is not there has that of what is around it."""
    document = read_document('# comment\nfit:\n  loss: {kappa: 1,\n    L1_coeffs: 2}\n')
    assert document.lines[('fit', 'loss', 'L1_coeffs')] == 4
    assert document.line_of(('fit', 'loss', 'missing')) == 3
    assert document.line_of(('nowhere',)) is None


def bomb() -> str:
    """Return a small text whose aliases stand for a billion values."""
    lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]']
    lines += [f'a{n}: &a{n} [{", ".join([f"*a{n - 1}"] * 10)}]' for n in range(1, 9)]
    return '\n'.join(lines)


@pytest.mark.parametrize(
    ('text', 'error', 'words'),
    [
        ('[' * 200_000, UnsafeFileError, 'nested'),
        ('{a: ' * 200_000, UnsafeFileError, 'nested'),
        (bomb(), UnsafeFileError, 'aliases'),
        ('a: &a [*a]', UnsafeFileError, 'aliases'),
        ('a' * (16 * 1024 * 1024 + 1), UnsafeFileError, 'characters'),
        ('a: !!python/object/apply:os.system [ls]', FileFormatError, 'line 1'),
        ('a: b: c', FileFormatError, 'line 1'),
        ('a: !!int foo', FileFormatError, 'not YAML'),
        ('a: [1, 2', FileFormatError, 'line'),
        ('? [1]\n: 2', FileFormatError, 'not YAML'),
        ('- 1\n- 2', FileFormatError, 'a mapping'),
        ('', FileFormatError, 'empty'),
        ('a: 1\n---\nb: 2', FileFormatError, 'not YAML'),
        ('a: "\x00"', FileFormatError, 'not YAML'),
        (f'a: {"9" * 5000}', FileFormatError, 'not YAML'),
        ('a: *nothing', FileFormatError, 'not YAML'),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else '',
)
def test_hostile_and_broken_texts_are_refused(text: str, error: type, words: str) -> None:
    """What would take the stack, the memory or the computer is refused in a sentence, and so is what is no input."""
    with pytest.raises(error, match=words) as caught:
        read_document(text)
    assert '\n' not in str(caught.value)


def test_the_safe_reader_needs_no_libyaml(tmp_path: Path) -> None:
    """The reader gives the same where PyYAML was built without libyaml."""
    program = (
        'import yaml; del yaml.CSafeLoader; '
        'from aiida_autopipec.pacemaker.input_files.document import read_document; '
        "print(read_document('a: 010\\nb: {c: 1e-8, d: yes}\\n'))"
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == str(read_document('a: 010\nb: {c: 1e-8, d: yes}\n'))


def test_a_file_of_settings_names_each_key_once() -> None:
    """The second of two equal keys would win without a word; all else is as in an input."""
    with pytest.raises(FileFormatError, match=r'fit\.maxiter stands twice, in lines 2 and 3'):
        read_mapping('fit:\n  maxiter: 1\n  maxiter: 2\n')
    assert read_mapping('No: 1e-8') == {'No': 1e-8}
