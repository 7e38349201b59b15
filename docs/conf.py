"""Settings of Sphinx: ``sphinx-build -nW --keep-going docs html``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# importing aiida makes its folder: keep it out of home
os.environ['AIIDA_PATH'] = tempfile.mkdtemp(prefix='aiida-docs-')
sys.path.insert(0, str(Path(__file__).parent / '_ext'))

import aiida_autopipec

project = 'aiida-autopipec'
author = 'The aiida-autopipec developers'
copyright = '2026, the aiida-autopipec developers'
release = version = aiida_autopipec.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx_copybutton',
    'sphinx_design',
    'aiida.sphinxext',
    'autopipec_reference',  # after aiida.sphinxext, whose directives it completes
]
exclude_patterns = ['_build', '_ext']
nitpicky = True

# What has no page to link to. No intersphinx: the build needs no network.
nitpick_ignore_regex = [
    (r'py:.*', r'(aiida|aiida_shell|ase|numpy|np|pandas|pd|pydantic|plumpy|click)\b.*'),
    (r'py:.*', r'(typing|datetime|collections|ConfigDict|NDArray|Figure|matplotlib)\b.*'),
    (r'py:.*', r'(pathlib\.|os\.|enum\.|argparse\.)?(Path|PathLike|BinaryIO|IO|Any|Enum|Self|NoneType|ValueError)'),
    (r'py:.*', r'(io\.)?BytesIO'),
    # names that annotations spell as they stand in the source: of aiida.orm, type variables, and private parts
    (r'py:.*', r'(Dict|Float|Int|Str|ArrayData|SinglefileData|StructureData|TrajectoryData|AbstractCode|Data|Formula)'),
    (r'py:.*', r'(P|BaseCalculator|Annotated|Literal|Sequence|Mapping|Iterable|Iterator|Callable|ArrayLike|FieldInfo)'),
    (r'py:.*', r'.*\._\w+.*'),
    (r'py:.*', r'.*\.AnyMergeable'),
    # builtins and the standard library
    (r'py:(class|exc|obj)', r'(str|int|float|bool|bytes|dict|list|tuple|set|frozenset|object|type)'),
    (r'py:(class|exc|obj)', r'(None|optional|Exception)'),
]

myst_enable_extensions = ['attrs_block', 'attrs_inline', 'colon_fence', 'deflist', 'fieldlist']
myst_heading_anchors = 3
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented_params'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True}
toc_object_entries_show_parents = 'hide'
add_module_names = False
python_use_unqualified_type_names = True
copybutton_prompt_text = '$ '

html_theme = 'furo'
html_title = 'aiida-autopipec'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_theme_options = {
    'light_css_variables': {'color-brand-primary': '#0b6e8f', 'color-brand-content': '#0b6e8f'},
    'dark_css_variables': {'color-brand-primary': '#5cc4e4', 'color-brand-content': '#5cc4e4'},
}
