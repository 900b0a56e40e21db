"""Name what a template can do wrong, with a hint and the requirement that it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class TemplateRule(StrEnum):
    """What a template can do wrong. An id is never given to another rule."""

    AUTOESCAPE_OFF = "sanitization.E101"
    STRINGS_UNESCAPED = "sanitization.E102"
    BLOCK_UNESCAPED = "sanitization.E103"
    MARKED_SAFE = "sanitization.E104"
    UNQUOTED = "sanitization.E105"
    NAME = "sanitization.E106"
    SCRIPT = "sanitization.E107"
    HANDLER = "sanitization.E108"
    STYLE = "sanitization.E109"
    URL = "sanitization.E110"
    DOCUMENT = "sanitization.E111"
    QUOTED_JSON = "sanitization.E112"
    QUOTED_HTML = "sanitization.E113"
    ATTRIBUTES = "sanitization.W114"
    UNREADABLE = "sanitization.W115"
    CUT_HTML = "sanitization.E116"


@dataclass(frozen=True, slots=True, order=True)
class TemplateFinding:
    """A place in a template that a reviewer has to see.

    Attributes:
        template: Name of the template; ``<string>`` for ``Environment.from_string``.
        line: Line in it, from 1.
        rule: What is wrong.
        message: The same in words. It repeats nothing of the template.
        hint: How to mend it.
        asvs: The requirement of ASVS 5.0.
        cwe: The weakness.
    """

    template: str
    line: int
    rule: TemplateRule
    message: str
    hint: str
    asvs: str = "V1.2.1"
    cwe: str = "CWE-79"


TEXTS: Final[dict[TemplateRule, tuple[str, str, str]]] = {
    TemplateRule.AUTOESCAPE_OFF: (
        "an HTML template is rendered without escaping",
        "set autoescape=True on the environment, or name the template .html",
        "V1.2.1",
    ),
    TemplateRule.STRINGS_UNESCAPED: (
        "templates from strings are rendered without escaping",
        "set autoescape=True, or select_autoescape(default_for_string=True)",
        "V1.2.1",
    ),
    TemplateRule.BLOCK_UNESCAPED: (
        "a block turns escaping off, or leaves it to a variable",
        "remove the block, and show rich text with the filter rich_text",
        "V1.2.1",
    ),
    TemplateRule.MARKED_SAFE: (
        "a value is marked as safe without being sanitized",
        "show rich text with the filter rich_text, and leave |safe and Markup out",
        "V1.3.1",
    ),
    TemplateRule.UNQUOTED: (
        "a value stands in an attribute without quotes",
        "put the attribute's value into quotes",
        "V1.2.1",
    ),
    TemplateRule.NAME: (
        "a value stands for the name of a tag or an attribute",
        "write the names into the template and choose among them with if",
        "V1.2.1",
    ),
    TemplateRule.SCRIPT: (
        "a value stands in a script, where escaping for HTML does not help",
        "write it as {{ value|tojson }}, without quotes around it",
        "V1.2.3",
    ),
    TemplateRule.HANDLER: (
        "a value stands in an event handler, which decodes what was escaped",
        "put the value into a data attribute, and the handler into a script file",
        "V1.2.3",
    ),
    TemplateRule.STYLE: (
        "a value stands in a style, where escaping for HTML does not help",
        "choose among classes that the template names",
        "V1.2.1",
    ),
    TemplateRule.URL: (
        "a value is the start of a URL, and so may choose javascript: as its scheme",
        "write the start of the URL into the template, or use url_for()",
        "V1.2.2",
    ),
    TemplateRule.DOCUMENT: (
        "a value stands in srcdoc, which is read as a document of its own",
        "show rich text in the page itself with the filter rich_text",
        "V1.3.1",
    ),
    TemplateRule.QUOTED_JSON: (
        "tojson stands in double quotes, which it does not escape",
        "put the attribute's value into single quotes",
        "V1.2.3",
    ),
    TemplateRule.QUOTED_HTML: (
        "HTML stands in an attribute, a comment or raw text, which it can end",
        "show rich text as the content of an element",
        "V1.2.1",
    ),
    TemplateRule.ATTRIBUTES: (
        "xmlattr takes the names of attributes from a value",
        "make sure that nobody outside chooses the names, or write them into the template",
        "V1.2.1",
    ),
    TemplateRule.CUT_HTML: (
        "HTML is cut, and may end within a tag that what follows then belongs to",
        "make text of it first with striptags",
        "V1.2.1",
    ),
    TemplateRule.UNREADABLE: (
        "the template can't be read, so nobody has checked it",
        "mend its syntax, or leave its name out",
        "V1.2.1",
    ),
}
