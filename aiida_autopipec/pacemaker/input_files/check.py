"""Reading an ``input.yaml`` with everything that can be said about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems, config_remarks, iter_settings
from aiida_autopipec.pacemaker.cost import cost_remarks
from aiida_autopipec.pacemaker.errors import ConfigError, FileFormatError
from aiida_autopipec.pacemaker.input_files.document import InputDocument, read_document
from aiida_autopipec.pacemaker.input_files.owned import FileNames, drop_unknown, separate
from aiida_autopipec.pacemaker.input_files.remarks import Level, Remark
from aiida_autopipec.pacemaker.input_files.silent import silent_remarks


@dataclass(frozen=True)
class InputReport:
    """What an input means.

    :param config: the settings; ``None`` if there is an error.
    :param files: the files that it names.
    :param remarks: what is to be said: errors first, then advice, then notes, each in the order of the lines.
    """

    config: TrainingConfig | None
    files: FileNames
    remarks: tuple[Remark, ...]

    def of(self, *levels: Level) -> list[Remark]:
        """Return the remarks of some levels."""
        return [remark for remark in self.remarks if remark.level in levels]

    def settings(self) -> TrainingConfig:
        """Return the settings.

        :raises ConfigError: if there is an error, with all of them.
        """
        if self.config is None:
            raise ConfigError(' '.join(f'{remark.key}: {remark.text}'.lstrip(': ') for remark in self.of(Level.ERROR)))
        return self.config


def check_input(text: str, *, done: bool = False) -> InputReport:
    """Read an input, and say what Pacemaker does with it.

    :param text: content of the file; untrusted.
    :param done: it belongs to a fit that is done: keys that Pacemaker ignored are left out, and are no errors.
    """
    try:
        document = read_document(text)
    except FileFormatError as error:
        return InputReport(None, FileNames(), (Remark(Level.ERROR, (), str(error)),))
    parts = separate(document.data)
    if done:
        drop_unknown(parts, tuple(iter_settings(TrainingConfig)))
    remarks = [*_duplicates(document), *parts.remarks]
    problems = config_problems(parts.settings)
    remarks += [_remark(document, sentence, Level.ERROR) for sentence in problems]
    config = None if any(remark.level is Level.ERROR for remark in remarks) else _config(parts.settings)
    if config is not None:
        remarks += silent_remarks(config, parts.files)
        sentences = [*config_remarks(config), *cost_remarks(config)]
        remarks += [_remark(document, sentence, Level.ADVICE) for sentence in sentences]
        if config.potential is None and parts.files.potential is None:
            remarks.append(_MISSING_POTENTIAL)
    return InputReport(config, parts.files, _in_order(document, remarks))


_MISSING_POTENTIAL = Remark(
    Level.ADVICE, ('potential',), 'is missing: state a shape, or give a potential as the input initial_potential'
)


def _config(settings: dict[str, Any]) -> TrainingConfig:
    return TrainingConfig.model_validate(settings)


def _duplicates(document: InputDocument) -> Iterable[Remark]:
    for path, first, line in document.duplicates:
        text = f'stands twice (first in line {first}), which Pacemaker refuses; remove one'
        yield Remark(Level.ERROR, path, text, line)


def _remark(document: InputDocument, sentence: str, level: Level) -> Remark:
    """Turn what is said of the settings into a remark; it starts with the key that it is about."""
    path = document.path_of(sentence)
    head, separator, text = sentence.partition(': ')
    remark = Remark(level, path, text if separator else sentence, document.line_of(path))
    # the key itself may be missing: then it stays part of the sentence, and the line is that of what is around it
    return remark if remark.key == head else replace(remark, path=(), text=sentence)


def _in_order(document: InputDocument, remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Give every remark its line; what has none comes last, and errors before advice before notes."""
    order = list(Level)
    placed = [
        remark if remark.line is not None else replace(remark, line=document.lines.get(remark.path))
        for remark in remarks
    ]
    return tuple(
        sorted(
            placed,
            key=lambda remark: (order.index(remark.level), remark.line is None, remark.line or 0, remark.key),
        )
    )
