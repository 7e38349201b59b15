"""Directives that write the reference from the code: processes, settings, exit codes and commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from aiida.engine import CalcJob
from aiida.sphinxext.process import AiidaProcessDirective
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from aiida_autopipec.pacemaker.describe import describe_default, describe_type

ENGINE_CODES_BELOW = 100
"""Exit codes below are AiiDA's own, for every process."""
PORTS_OF_EVERY_JOB = ('metadata', 'monitors', 'remote_folder', 'retrieved', 'remote_stash')
PLACEHOLDER = re.compile(r'\s*\{\w+\}')
CODE = re.compile(r'``?([^`]+)``?')


def inline(text: str) -> nodes.paragraph:
    """Return a paragraph in which text between backticks is code."""
    paragraph = nodes.paragraph()
    for number, part in enumerate(CODE.split(text)):
        if part:
            paragraph += nodes.literal(text=part) if number % 2 else nodes.Text(part)
    return paragraph


def table(header: Sequence[str], rows: Iterable[Sequence[nodes.Node]], widths: Sequence[int]) -> nodes.table:
    """Return a table of prepared cells."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head, body = nodes.thead(), nodes.tbody()
    head += _row([nodes.paragraph(text=title) for title in header])
    body += [_row(cells) for cells in rows]
    group += [head, body]
    result = nodes.table(classes=['reference-table'])
    result += group
    return result


def _row(cells: Sequence[nodes.Node]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += cell
        row += entry
    return row


def code(text: str) -> nodes.paragraph:
    """Return a paragraph that is code."""
    paragraph = nodes.paragraph()
    paragraph += nodes.literal(text=text)
    return paragraph


def load(dotted: str) -> Any:
    """Import ``package.module.name``."""
    module, _, name = dotted.rpartition('.')
    return getattr(import_module(module), name)


def exit_codes(spec: Any) -> list[tuple[int, str, str]]:
    """Return status, label and message of the exit codes of a process, without those of every process."""
    codes = sorted(spec.exit_codes.values(), key=lambda item: item.status)
    return [
        (item.status, _label(spec, item.status), _message(item.message))
        for item in codes
        if item.status >= ENGINE_CODES_BELOW
    ]


def _message(template: str) -> str:
    """Return a message without its placeholders; what follows a whole sentence is a detail and left out."""
    text = PLACEHOLDER.sub(' …', template).strip()
    return re.sub(r'(?<=\.) …$', '', text) if text != '…' else 'As the process says.'


def _label(spec: Any, status: int) -> str:
    return next(label for label, item in spec.exit_codes.items() if item.status == status)


class ProcessDirective(AiidaProcessDirective):
    """The directive of AiiDA, with exit codes, and without the need for a profile."""

    def initialize(self) -> None:
        """Import the process; its spec needs no profile."""
        self.class_name = self.arguments[0]
        self.module_name = self.options['module']
        self.process_name = f'{self.module_name}.{self.class_name}'
        self.process = load(self.process_name)
        self.process_spec = self.process.spec()

    def build_node_tree(self) -> list[nodes.Node]:
        """Return the process with an anchor, so that other pages can refer to it."""
        (description,) = super().build_node_tree()
        signature = description[0]
        signature['ids'].append(self.process_name)
        self.state.document.note_explicit_target(signature)
        domain = self.env.get_domain('py')
        domain.note_object(self.process_name, 'class', self.process_name, location=signature)
        description['classes'] += ['py', 'aiida-process']
        return [description]

    def build_portnamespace_doctree(self, port_namespace: Any) -> nodes.bullet_list | None:
        """Leave out what every process of AiiDA has."""
        own = {name: port for name, port in port_namespace.items() if name not in PORTS_OF_EVERY_JOB}
        return super().build_portnamespace_doctree(own) if own else None

    @staticmethod
    def format_valid_types(valid_type: Any) -> str:
        """Return the names of classes; that an optional port may be empty goes without saying."""
        kinds = valid_type if isinstance(valid_type, tuple) else (valid_type,)
        return ' or '.join(getattr(kind, '__name__', str(kind)) for kind in kinds if kind is not type(None))

    def build_content(self) -> addnodes.desc_content:
        """Return docstring, ports, outline and exit codes."""
        content = super().build_content()
        content[0] = inline(' '.join(self.process.__doc__.split()))
        for reference in list(content.findall(nodes.title_reference)):
            reference.replace_self(nodes.literal(text=reference.astext()))
        for block in content.findall(nodes.literal_block):
            block['language'] = 'text'
        rows = [(code(str(status)), code(label), inline(text)) for status, label, text in exit_codes(self.process_spec)]
        title = nodes.paragraph()
        title += nodes.strong(text='Exit codes:')
        codes = table(['Status', 'Label', 'Message'], rows, [8, 32, 60])
        codes['classes'].append('exit-codes')
        content += [title, codes]
        return content


class CalcJobDirective(ProcessDirective):
    """``aiida-calcjob`` with exit codes."""

    signature = 'CalcJob'
    annotation = 'calcjob '


class WorkChainDirective(ProcessDirective):
    """``aiida-workchain`` with exit codes."""

    signature = 'WorkChain'
    annotation = 'workchain '


class ExitCodesDirective(SphinxDirective):
    """``exit-codes``: one table over several processes, given by dotted names, one per line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        processes = [load(dotted.strip()) for dotted in self.content]
        jobs = [process.__name__ for process in processes if issubclass(process, CalcJob)]
        found: dict[tuple[int, str, str], list[str]] = {}
        for process in processes:
            for item in exit_codes(process.spec()):
                found.setdefault(item, []).append(process.__name__)
        rows = [
            (code(str(status)), code(label), inline(text), inline('all jobs' if owners == jobs else ', '.join(owners)))
            for (status, label, text), owners in sorted(found.items())
        ]
        result = table(['Status', 'Label', 'Message', 'Of'], rows, [7, 30, 43, 20])
        result['classes'].append('exit-codes')
        return [result]


class SettingsDirective(SphinxDirective):
    """``training-settings``: every key of ``input.yaml``, one table for the keys that stand together."""

    def run(self) -> list[nodes.Node]:
        """Return one section per mapping of the file."""
        from aiida_autopipec.pacemaker.config import TrainingConfig, iter_settings

        settings = list(iter_settings(TrainingConfig))
        about = {item.path: item.field.description for item in settings if item.is_section}
        groups: dict[tuple[str, ...], list[Any]] = {}
        for item in settings:
            groups.setdefault(item.path[:-1], []).append(item)
        return [self.group(path, items, about) for path, items in groups.items()]

    def group(self, path: tuple[str, ...], items: list[Any], about: dict[tuple[str, ...], str]) -> nodes.section:
        """Return the section of one mapping."""
        name = items[0].name.rpartition('.')[0]
        section = nodes.section(ids=[nodes.make_id(f'settings-{name or "top"}')])
        title = nodes.title()
        title += nodes.literal(text=name) if name else nodes.Text('Top level')
        section += title
        description = about.get(path) or about.get(path[:-1])
        if description:
            section += inline(description)
        header = ['Key', 'Type and range', 'Unit', 'Default', 'Meaning']
        section += table(header, [self.row(item) for item in items], [20, 20, 8, 12, 40])
        return section

    @staticmethod
    def row(item: Any) -> tuple[nodes.Node, ...]:
        """Return the cells of one setting, with a link to where Pacemaker documents or reads it."""
        kind, default, meaning = _field_cells(item.field, is_section=item.is_section)
        if item.kind is not None:
            kind = inline(item.kind)
        if item.default is not None:
            default = inline(item.default)
        if item.source:
            documented = 'github.com' not in item.source
            meaning += nodes.Text(' (')
            meaning += nodes.reference(text='documentation' if documented else 'code', refuri=item.source)
            meaning += nodes.Text(')')
        return code(item.path[-1]), kind, inline(item.unit or ''), default, meaning


class ModelDirective(SphinxDirective):
    """``settings-model``: the fields of one pydantic model."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table, with an anchor that Python's domain knows."""
        model = load(self.arguments[0])
        documented = dict(re.findall(r':param (\w+): ((?:.|\n)+?)(?=\n *:|\Z)', model.__doc__ or ''))
        rows = [
            (
                code(field.alias or name),
                *_field_cells(field, meaning=' '.join(documented.get(name, field.description or '').split())),
            )
            for name, field in model.model_fields.items()
        ]
        target = nodes.target(ids=[self.arguments[0]])
        self.state.document.note_explicit_target(target)
        self.env.get_domain('py').note_object(self.arguments[0], 'class', self.arguments[0], location=target)
        return [target, table(['Key', 'Type', 'Default', 'Meaning'], rows, [24, 22, 14, 40])]


def _field_cells(field: Any, *, is_section: bool = False, meaning: str | None = None) -> tuple[nodes.Node, ...]:
    kind = 'section' if is_section else describe_type(field.annotation, field.metadata)
    text = meaning or field.description or ''
    return inline(kind), inline(describe_default(field)), inline(text)


def resolve_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Resolve a Python name without its module, where only one object has it: docstrings name their neighbours so."""
    if node.get('refdomain') != 'py':
        return None
    domain = env.domains['py']
    ending = f'.{node["reftarget"]}'
    found = [name for name in domain.objects if name.endswith(ending)]
    if len(found) != 1:
        return None
    entry = domain.objects[found[0]]
    return make_refnode(app.builder, node['refdoc'], entry.docname, entry.node_id, content, found[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    from autopipec_commands import CommandsDirective

    app.add_directive_to_domain('py', 'aiida-calcjob', CalcJobDirective, override=True)
    app.add_directive_to_domain('py', 'aiida-workchain', WorkChainDirective, override=True)
    directives.register_directive('exit-codes', ExitCodesDirective)
    directives.register_directive('training-settings', SettingsDirective)
    directives.register_directive('settings-model', ModelDirective)
    directives.register_directive('click-commands', CommandsDirective)
    app.connect('missing-reference', resolve_by_last_name)
    return {'version': '1', 'parallel_read_safe': True, 'parallel_write_safe': True}
