"""Walk through a template as Jinja2 parses it, and judge each expression in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from stockade.errors import ConfigurationError
from stockade.sanitization.template_findings import TemplateRule
from stockade.sanitization.template_places import START, State, follow, gives_html, judge, read

try:
    from jinja2 import TemplateError, nodes
    from jinja2.filters import do_mark_safe
    from markupsafe import Markup
except ImportError:
    message = "Jinja2 is not installed: pip install 'stockade[jinja2]'"
    raise ConfigurationError(message) from None

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jinja2 import Environment

    States = frozenset[State]

# What a browser would be given as HTML, by its name or by what is in it.
_HTML_NAME: Final = re.compile(
    r"\.(?:html?|xhtml|xml|svg)(?:\.(?:jinja2?|j2|tmpl|tpl))?\Z", re.IGNORECASE
)
_HTML: Final = re.compile(
    r"<(?:!doctype|a|b|body|br|div|em|form|h[1-6]|head|html|i|img|input|li|ol|p|script|span|strong"
    r"|style|table|td|tr|ul)[\s/>]",
    re.IGNORECASE,
)
# Functions that build a URL of the application, and those that give HTML which is escaped already.
_URL_FUNCTIONS: Final = frozenset({"url_for", "url_path_for"})
_HTML_FUNCTIONS: Final = frozenset({"caller", "super"})
_MOST_INCLUDES: Final = 20
# Filters that leave a part of their value: of HTML, perhaps the beginning of a tag.
_CUTTING: Final = frozenset(
    {"batch", "first", "last", "list", "random", "reverse", "slice", "truncate"}
)


class _Where(NamedTuple):
    """The template that is read, whether it becomes part of a page, and how it was reached."""

    name: str
    is_html: bool
    path: tuple[str, ...]


class Review:
    """Find the faults of templates, each once.

    Args:
        environment: As the application configures it.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._trees: dict[str, nodes.Template | None] = {}
        # An application may have given them names of its own.
        self._safe = {"safe"} | _names_of(environment.filters, Markup, do_mark_safe)
        self._marking = {"Markup", "mark_safe"} | _names_of(environment.globals, Markup)
        self.found: set[tuple[str, int, TemplateRule]] = set()

    def add(self, rule: TemplateRule, name: str, line: int) -> None:
        """Note a fault."""
        self.found.add((name, line, rule))

    def escapes(self, name: str | None) -> bool:
        """Tell whether the environment escapes the values of a template; None is a string."""
        setting = self._environment.autoescape
        return bool(setting(name)) if callable(setting) else bool(setting)

    def check(self, name: str) -> None:
        """Check a template, with the templates that it extends and includes."""
        tree = self._tree(name)
        if tree is None:
            self.add(TemplateRule.UNREADABLE, name, 1)
            return
        self._find_marks(name, tree)
        self._blocks(name, ())

    def _tree(self, name: str) -> nodes.Template | None:
        if name not in self._trees:
            self._trees[name] = self._parse(name)
        return self._trees[name]

    def _parse(self, name: str) -> nodes.Template | None:
        loader = self._environment.loader
        try:
            source = "" if loader is None else loader.get_source(self._environment, name)[0]
            return None if loader is None else self._environment.parse(source, name)
        except (TemplateError, UnicodeDecodeError):
            return None

    def _find_marks(self, name: str, tree: nodes.Template) -> None:
        for found in tree.find_all(nodes.Filter):
            named = _constants(nodes.Tuple(found.args, "load")) if found.name == "map" else ()
            marked = found.name in self._safe and not _is_harmless(found.node)
            if marked or not self._safe.isdisjoint(named):
                self.add(TemplateRule.MARKED_SAFE, name, found.lineno)
            elif found.name == "xmlattr" and not isinstance(found.node, nodes.Dict):
                self.add(TemplateRule.ATTRIBUTES, name, found.lineno)
            elif found.name in _CUTTING and self._is_html(found.node):
                self.add(TemplateRule.CUT_HTML, name, found.lineno)
        for part in tree.find_all(nodes.Getitem):
            if self._is_html(part.node):
                self.add(TemplateRule.CUT_HTML, name, part.lineno)
        for call in tree.find_all(nodes.Call):
            if _function(call) in self._marking and not _is_constant(call):
                self.add(TemplateRule.MARKED_SAFE, name, call.lineno)

    def filters_of(self, expression: nodes.Expr) -> list[str]:
        """Return the names of the filters around a value, innermost first."""
        return ["safe" if name in self._safe else name for name in _unwrap(expression)[0]]

    def _is_html(self, expression: nodes.Expr | None) -> bool:
        return expression is not None and gives_html(self.filters_of(expression))

    # Inheritance: a block stands where the template that declares it first has put it.

    def _blocks(self, name: str, path: tuple[str, ...]) -> dict[str, States]:
        """Walk through a template and return where each of its blocks begins."""
        tree = self._tree(name)
        if tree is None or name in path:
            return {}
        is_html = _HTML_NAME.search(name) is not None or any(
            _HTML.search(data.data) for data in tree.find_all(nodes.TemplateData)
        )
        where = self._enter(name, path, is_html=is_html)
        self._import(tree, where)
        walk = _Walk(self)
        for parent in tree.find_all(nodes.Extends):
            for parent_name in _constants(parent.template):
                for block, states in self._blocks(parent_name, where.path).items():
                    walk.begin(block, states)
        walk.walk(tree.body, frozenset({START}), where)
        return walk.blocks

    def include(self, name: str, states: States, where: _Where) -> States:
        """Walk through an included template from where it is included."""
        tree = self._tree(name)
        if tree is None or name in where.path or len(where.path) > _MOST_INCLUDES:
            return states
        inner = self._enter(name, where.path, is_html=where.is_html)
        self._import(tree, inner)
        return _Walk(self).walk(tree.body, states, inner)

    def _import(self, tree: nodes.Template, where: _Where) -> None:
        """Enter the templates of the macros of a page.

        Jinja2 takes what a macro gives to a page that escapes for HTML, also where the macro's own
        template escapes nothing.
        """
        imports = [node.template for node in tree.find_all(nodes.Import)]
        imports += [node.template for node in tree.find_all(nodes.FromImport)]
        for template in imports:
            for name in _constants(template):
                imported = self._tree(name)
                if imported is None or name in where.path or len(where.path) > _MOST_INCLUDES:
                    continue
                self._import(imported, self._enter(name, where.path, is_html=where.is_html))

    def _enter(self, name: str, path: tuple[str, ...], *, is_html: bool) -> _Where:
        if is_html and not self.escapes(name):
            self.add(TemplateRule.AUTOESCAPE_OFF, name, 1)
        return _Where(name, is_html, (*path, name))


class _Walk:
    """Walk through the nodes of one template."""

    def __init__(self, review: Review) -> None:
        self._review = review
        self.blocks: dict[str, States] = {}
        self._inherited: set[str] = set()

    def begin(self, block: str, states: States) -> None:
        """Note where a template above begins a block."""
        self.blocks[block] = self.blocks.get(block, frozenset()) | states
        self._inherited.add(block)

    def walk(self, body: Iterable[nodes.Node], states: States, where: _Where) -> States:
        """Walk through nodes in order and return where they may end."""
        for node in body:
            states = self._enter(node, states, where)
        return states

    def _enter(self, node: nodes.Node, states: States, where: _Where) -> States:  # noqa: PLR0911 - a table of kinds.
        match node:
            case nodes.Output():
                return self._output(node, states, where)
            case nodes.If():
                return self._branch(node, states, where)
            case nodes.For():
                once = self.walk(node.body, states, where)
                twice = self.walk(node.body, once, where)
                return states | once | twice | self.walk(node.else_, states, where)
            case nodes.Block():
                if node.name not in self._inherited:
                    self.blocks[node.name] = self.blocks.get(node.name, frozenset()) | states
                    return self.walk(node.body, states, where)
                self.walk(node.body, self.blocks[node.name], where)
                return states
            case nodes.Include():
                names = _constants(node.template)
                ends = [self._review.include(name, states, where) for name in names]
                return frozenset().union(*ends) if ends else states
            case nodes.ScopedEvalContextModifier():
                return self._modified(node, states, where)
            case nodes.Macro() | nodes.AssignBlock() | nodes.CallBlock():
                self.walk(node.body, frozenset({START}), where)
                return states
            case nodes.With() | nodes.Scope() | nodes.OverlayScope() | nodes.FilterBlock():
                return self.walk(node.body, states, where)
            case _:
                return states

    def _branch(self, node: nodes.If, states: States, where: _Where) -> States:
        branches = [node.body, *(other.body for other in node.elif_), node.else_]
        return frozenset().union(*(self.walk(body, states, where) for body in branches))

    def _modified(
        self, node: nodes.ScopedEvalContextModifier, states: States, where: _Where
    ) -> States:
        for option in node.options:
            # Only a constant can be judged here.
            if option.key == "autoescape" and not (
                isinstance(option.value, nodes.Const) and option.value.value
            ):
                self._review.add(TemplateRule.BLOCK_UNESCAPED, where.name, node.lineno)
        return self.walk(node.body, states, where)

    def _output(self, node: nodes.Output, states: States, where: _Where) -> States:
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                states = frozenset(read(state, child.data) for state in states)
                continue
            for expression in _choices(child):
                self._judge(expression, states, where)
            states = frozenset(follow(state) for state in states)
        return states

    def _judge(self, expression: nodes.Expr, states: States, where: _Where) -> None:
        value = _unwrap(expression)[1]
        if isinstance(value, nodes.Const):
            return
        filters = self._review.filters_of(expression)
        is_url = isinstance(value, nodes.Call) and _function(value) in _URL_FUNCTIONS
        for state in states:
            rule = judge(state, filters, is_trusted_url=is_url)
            if rule is not None:
                self._review.add(rule, where.name, expression.lineno)


def _unwrap(expression: nodes.Expr) -> tuple[list[str], nodes.Expr]:
    filters: list[str] = []
    while isinstance(expression, nodes.Filter) and expression.node is not None:
        filters.insert(0, expression.name)
        expression = expression.node
    return filters, expression


def _choices(expression: nodes.Expr) -> Iterator[nodes.Expr]:
    """Yield what an expression may come to: both sides of ``a if b else c`` and of ``a or b``."""
    match expression:
        case nodes.CondExpr():
            yield from _choices(expression.expr1)
            if expression.expr2 is not None:
                yield from _choices(expression.expr2)
        case nodes.Or():
            yield from _choices(expression.left)
            yield from _choices(expression.right)
        case _:
            yield expression


def _function(call: nodes.Call) -> str:
    name = getattr(call.node, "name", None) or getattr(call.node, "attr", None)
    return name if isinstance(name, str) else ""


def _is_harmless(node: nodes.Expr | None) -> bool:
    """Tell whether a value is the template's own, or HTML that a template has made."""
    return isinstance(node, nodes.Const) or (
        isinstance(node, nodes.Call) and _function(node) in _HTML_FUNCTIONS
    )


def _is_constant(call: nodes.Call) -> bool:
    """Tell whether a call is given nothing but what the template writes down."""
    given = [*call.args, *(keyword.value for keyword in call.kwargs)]
    computed = call.dyn_args is not None or call.dyn_kwargs is not None
    return not computed and all(isinstance(argument, nodes.Const) for argument in given)


def _names_of(table: Mapping[str, object], *functions: object) -> set[str]:
    return {name for name, value in table.items() if any(value is each for each in functions)}


def _constants(template: nodes.Expr) -> Sequence[str]:
    """Return the names that an expression writes down, of templates or of filters."""
    names = []
    for choice in _choices(template):
        parts = choice.items if isinstance(choice, nodes.Tuple | nodes.List) else [choice]
        names += [part.value for part in parts if isinstance(part, nodes.Const)]
    return [name for name in names if isinstance(name, str)]
