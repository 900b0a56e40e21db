"""Check Jinja2 templates for places where text reaches a page without being made safe for them.

Escaping makes text safe as the content of an element and in a quoted attribute. It does not in a
script, a style, a handler, an unquoted attribute or at the start of a URL, and it is off more often
than people think: ``select_autoescape()`` leaves ``.txt`` and ``.jinja`` templates alone. The check
reads templates as Jinja2 parses them and follows the HTML around each expression.

A clean result is no proof. What Python code marks as safe, what a macro is given, and templates
whose name is computed are not seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stockade.errors import ConfigurationError
from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.template_findings import TEXTS, TemplateFinding, TemplateRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment
    from markupsafe import Markup

    from stockade.sanitization.policies import HTMLPolicy


__all__ = ["TemplateFinding", "TemplateRule", "check_jinja2", "rich_text"]

_TEMPLATE_NAME: Final = re.compile(
    r"\.(?:html?|xhtml|xml|svg|txt|md|jinja2?|j2|tmpl|tpl)\Z", re.IGNORECASE
)


def rich_text(value: str | None, policy: str | HTMLPolicy = "default") -> Markup:
    """Sanitize rich text for a template, as a filter: ``{{ note.body|rich_text("article") }}``.

    Register it as ``environment.filters["rich_text"] = rich_text``. It takes the place of
    ``|safe``: what reaches the page is sanitized on its way there, wherever it came from. Use it
    for the content of an element alone.

    Raises:
        SanitizationError: The value is too long, needs too much work, or is not Unicode text.
        UnsafePolicyError: The policy's name is unknown.
        ConfigurationError: Jinja2 is not installed.
    """
    try:
        from markupsafe import Markup  # noqa: PLC0415 - an extra brings it.
    except ImportError:
        message = "Jinja2 is not installed: pip install 'stockade[jinja2]'"
        raise ConfigurationError(message) from None
    return Markup(sanitize_html(value, policy) or "")  # noqa: S704 - it has just been sanitized.


def check_jinja2(
    environment: Environment, templates: Iterable[str] | None = None
) -> list[TemplateFinding]:
    """Return the places in templates where text is not made safe for where it stands.

    Args:
        environment: As the application configures it.
        templates: Names to check; by default all that the loader lists with a usual ending.

    Raises:
        ConfigurationError: Jinja2 is not installed, or the loader can't list its templates.

    Source: ASVS 5.0 V1.2.1, V1.2.2, V1.2.3; CWE-79.
    """
    from stockade.sanitization.template_review import Review  # noqa: PLC0415 - needs Jinja2.

    names = _list(environment) if templates is None else list(templates)
    review = Review(environment)
    for name in names:
        review.check(name)
    if not review.escapes(None):
        review.add(TemplateRule.STRINGS_UNESCAPED, "<string>", 1)
    return sorted(
        TemplateFinding(name, line, rule, *TEXTS[rule]) for name, line, rule in review.found
    )


def _list(environment: Environment) -> list[str]:
    message = "the loader can't list its templates: pass their names as templates="
    if environment.loader is None:
        raise ConfigurationError(message)
    try:
        return environment.list_templates(
            filter_func=lambda name: _TEMPLATE_NAME.search(name) is not None
        )
    except TypeError:
        raise ConfigurationError(message) from None
