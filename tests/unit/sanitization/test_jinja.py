"""The check of templates finds what escaping does not cover, and nothing where it does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment, FunctionLoader, select_autoescape
from markupsafe import Markup

from stockade.errors import ConfigurationError
from stockade.sanitization import SanitizationError
from stockade.sanitization.jinja import TemplateFinding, TemplateRule, check_jinja2, rich_text
from stockade.sanitization.template_findings import TEXTS

R = TemplateRule


def environment(
    *, autoescape: bool | Callable[[str | None], bool] = True, **templates: str
) -> Environment:
    """Return an environment; ``page_html`` is the template ``page.html``."""
    named = {name.replace("_", "."): source for name, source in templates.items()}
    made = Environment(
        loader=DictLoader(named),
        autoescape=autoescape,  # noqa: S701 - what is under test.
        extensions=["jinja2.ext.do"],
    )
    made.filters["rich_text"] = rich_text
    # Names that an application gives to what Jinja2 calls "safe".
    made.filters["raw"] = Markup
    made.globals["raw_html"] = Markup
    return made


def rules(source: str) -> list[TemplateRule]:
    """Return what is found in one page of an environment that escapes."""
    return [finding.rule for finding in check_jinja2(environment(page_html=source))]


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ x }}</p>",
        "<p title=\"{{ x }}\" class='a {{ x }}'>",
        '<a href="/users/{{ x }}">',
        "<a href=\"{{ url_for('user', id=x) }}\">",
        "<a href=\"{{ request.url_for('user', id=x) }}\">",
        '<a href="https://x.example/{{ x }}">',
        '<a href="mailto:{{ x }}">',
        '<a href="?q={{ x }}">',
        '<a href="#{{ x }}">',
        '<a href="../{{ x }}/{{ y }}">',
        "<img src=\"{{ '/static/a.png' }}\">",
        "<script>const data = {{ x|tojson }};</script>",
        "<script src='/a.js'></script><p>{{ x }}",
        "<button onclick='go({{ x|tojson }})'>",
        '<button onclick="go({{ x|tojson|forceescape }})">',
        "<div data-x='{{ x|tojson }}'>",
        "<textarea>{{ x }}</textarea><title>{{ x }}</title>",
        "<!-- {{ x }} -->",
        "<!doctype html><p>{{ x }}",
        "<p>{{ '<b>'|safe }}{{ super()|safe }}{{ Markup('<b>') }}</p>",
        "<p>{{ x|rich_text }}{{ x|rich_text('article') }}</p>",
        "<p {% if x %}class='a'{% endif %}>{{ x }}</p>",
        "<p {% if x %}title='{{ x }}'{% else %}lang='{{ y }}'{% endif %}>{{ x }}</p>",
        "{% for x in y %}<li>{{ x }}</li>{% else %}{{ z }}{% endfor %}",
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(y) }}",
        "{% set x %}<b>{{ y }}</b>{% endset %}{{ x }}",
        "{% autoescape true %}{{ x }}{% endautoescape %}",
        "<p {{ {'class': x}|xmlattr }}>",
        "1 < 2 {{ x }}",
        "<p class=a>{{ x }}</p>",
        "<style>p { color: {{ '#fff' }} }</style>",
        "{% filter upper %}<b>{{ x }}</b>{% endfilter %}",
        "{% with a = x %}<b>{{ a }}</b>{% endwith %}",
        "<script>const a = 'b', c = \"d's\"; const e = {{ x|tojson }};</script>",
        "<script>// it's said\nconst a = {{ x|tojson }};</script>",
        "<script>/* it's */ const a = {{ x|tojson }};</script>",
        '<script>const a = b.match(/"/) + {{ x|tojson }};</script>',
        "<script>const a = b / c; const d = {{ x|tojson }}; // a / b\n</script>",
        "<script>const a = 'it\\'s', b = {{ x|tojson }};</script>",
        "<div x-data='{ open: {{ x|tojson }} }'>",
        "<script src='/static/{{ x }}.js'></script>",
        "<script src='https://cdn.example/{{ x }}.js'></script>",
        "<iframe src='?page={{ x }}'></iframe>",
        "<p title='{{ x|rich_text|striptags }}'>{{ x|rich_text|striptags|truncate(9) }}",
        "<p title='{{ x|urlize|forceescape }}'>{{ x|urlize }}",
        "{{ x|map('upper')|join }}{{ x[:9] }}{{ x|truncate(9) }}",
        "{% raw %}<p>{{ x|safe }}{% endraw %}",
        "",
    ],
)
def test_safe_templates_have_no_findings(source: str) -> None:
    """What escaping covers, and what a template writes itself, is in order."""
    assert rules(source) == []


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("<p title={{ x }}>", R.UNQUOTED),
        ("<p title=a{{ x }}>", R.UNQUOTED),
        ("<p title = {{ x }} class='a'>", R.UNQUOTED),
        ("<input {% if x %}value={{ x }}{% endif %}>", R.UNQUOTED),
        ("<{{ x }}>", R.NAME),
        ("<h{{ x }}>", R.NAME),
        ("</{{ x }}>", R.NAME),
        ("<p {{ x }}>", R.NAME),
        ("<p {{ x }}='a'>", R.NAME),
        ("<p data-{{ x }}='a'>", R.NAME),
        ("<p class='a' {{ x|safe }}>", R.NAME),
        ("<p {{ x|xmlattr }}>", R.ATTRIBUTES),
        ("<script>const a = '{{ x }}';</script>", R.SCRIPT),
        ("<script>const a = {{ x }};</script>", R.SCRIPT),
        ("<script>const a = '{{ x|tojson }}';</script>", R.SCRIPT),
        ("<script>const a = `{{ x|tojson }}`;</script>", R.SCRIPT),
        ("<script>{{ x|tojson|upper }}</script>", R.SCRIPT),
        ("<script type='application/json'>{{ x }}</script>", R.SCRIPT),
        ("<SCRIPT>{{ x }}</SCRIPT>", R.SCRIPT),
        ("<script>a</scripty>{{ x }}</script>", R.SCRIPT),
        ("<script>{% for x in y %}{{ x }},{% endfor %}</script>", R.SCRIPT),
        ("<script>{% if x %}</script>{% endif %}{{ x }}", R.SCRIPT),
        ("<button onclick='go(\"{{ x }}\")'>", R.HANDLER),
        ("<button onclick='go({{ x }})'>", R.HANDLER),
        ("<button onclick='go(\"{{ x|tojson }}\")'>", R.HANDLER),
        ("<button ONCLICK='{{ x }}'>", R.HANDLER),
        ("<style>p { color: {{ x }} }</style>", R.STYLE),
        ("<p style='color: {{ x }}'>", R.STYLE),
        ("<a href='{{ x }}'>", R.URL),
        ("<a href=' {{ x }}'>", R.URL),
        ("<a href='{{ x }}/edit'>", R.URL),
        ("<a href='java{{ x }}'>", R.URL),
        ("<a href='javascript:{{ x }}'>", R.URL),
        ("<a href='{% if x %}{{ x }}{% else %}/{% endif %}'>", R.URL),
        ("<a href='{{ x or \"/\" }}'>", R.URL),
        ("<a href='{{ \"/\" if y else x }}'>", R.URL),
        ("<form action='{{ x }}'><button formaction='/'>", R.URL),
        ("<iframe src='{{ x }}'>", R.URL),
        ("<iframe srcdoc='{{ x }}'>", R.DOCUMENT),
        ('<div data-x="{{ x|tojson }}">', R.QUOTED_JSON),
        ('<p title="{{ x|rich_text }}">', R.QUOTED_HTML),
        ("<!-- {{ x|rich_text }} -->", R.QUOTED_HTML),
        ("<textarea>{{ x|rich_text }}</textarea>", R.QUOTED_HTML),
        ("<p>{{ x|safe }}</p>", R.MARKED_SAFE),
        ("<p>{{ x|upper|safe|lower }}</p>", R.MARKED_SAFE),
        ("{% set y = x|safe %}", R.MARKED_SAFE),
        ("{% if x|safe %}{% endif %}", R.MARKED_SAFE),
        ("{{ Markup(x) }}", R.MARKED_SAFE),
        ("{{ markupsafe.Markup(x) }}", R.MARKED_SAFE),
        ("{% autoescape false %}{{ x }}{% endautoescape %}", R.BLOCK_UNESCAPED),
        ("{% autoescape x %}{{ x }}{% endautoescape %}", R.BLOCK_UNESCAPED),
        ("{% macro m(x) %}<a href='{{ x }}'>{% endmacro %}", R.URL),
        ("{% call m() %}<a href='{{ x }}'>{% endcall %}", R.URL),
        ("{% set y %}<a href='{{ x }}'>{% endset %}", R.URL),
        ("{% for a in b %}<a href='{% endfor %}{{ x }}", R.URL),
        ("{% if x", R.UNREADABLE),
        ('<script>const a = "Hello {{ x|tojson }}";</script>', R.SCRIPT),
        ("<script>const a = 'Hello {{ x|tojson }}';</script>", R.SCRIPT),
        ("<script>const a = `Hello {{ x|tojson }}`;</script>", R.SCRIPT),
        ("<script>const a = `\n{{ x|tojson }}`;</script>", R.SCRIPT),
        ("<script>const a = 'it\\'s {{ x|tojson }}';</script>", R.SCRIPT),
        ('<script>const a = b / c; d = "e/f {{ x|tojson }}";</script>', R.SCRIPT),
        ('<script>const a = "//x/{{ x|tojson }}";</script>', R.SCRIPT),
        ('<script>const a = "{{ x|tojson }} and {{ y|tojson }}";</script>', R.SCRIPT),
        ("<button onclick='go(\"a {{ x|tojson }}\")'>", R.HANDLER),
        ('<button onclick="go(&quot;a {{ x|tojson|forceescape }}&quot;)">', R.HANDLER),
        ("<button hx-on:click='go({{ x }})'>", R.HANDLER),
        ("<button @click='go({{ x }})'>", R.HANDLER),
        ("<p x-data=\"{ a: '{{ x }}' }\">", R.HANDLER),
        ("<p v-html='{{ x }}' :class='{{ y }}'>", R.HANDLER),
        ("<script src='/{{ x }}'></script>", R.URL),
        ("<script src='//{{ x }}/a.js'></script>", R.URL),
        ("<script src='https://{{ x }}/a.js'></script>", R.URL),
        ("<script src='https://cdn{{ x }}/a.js'></script>", R.URL),
        ("<link rel=stylesheet href='/{{ x }}'>", R.URL),
        ("<base href='/{{ x }}'>", R.URL),
        ('<p title="{{ x|urlize }}">', R.QUOTED_HTML),
        ('<p title="{{ x|rich_text|trim }}">', R.QUOTED_HTML),
        ("<p title=\"{{ {'a': x}|xmlattr }}\">", R.QUOTED_HTML),
        ("<p>{{ x|rich_text|truncate(80) }}", R.CUT_HTML),
        ("<p>{{ (x|rich_text)[:80] }}", R.CUT_HTML),
        ("<p>{{ x|urlize|trim|truncate(80) }}", R.CUT_HTML),
        ("<p>{{ x|map('safe')|join }}", R.MARKED_SAFE),
        ("<p>{{ x|raw }}", R.MARKED_SAFE),
        ("<p>{{ raw_html(x) }}", R.MARKED_SAFE),
        ("<p>{{ Markup(object=x) }}", R.MARKED_SAFE),
        ("<p>{{ Markup(*x) }}", R.MARKED_SAFE),
        ("<p>{{ Markup(**x) }}", R.MARKED_SAFE),
        ('<p title="{{ x|raw }}">', R.QUOTED_HTML),
    ],
)
def test_unsafe_templates_are_found(source: str, rule: TemplateRule) -> None:
    """Each place that escaping does not cover has a rule of its own."""
    assert rule in rules(source)


def test_a_finding_says_where_and_how_to_mend_it() -> None:
    """A finding has a template, a line, a hint and a requirement, and repeats no template text."""
    found = check_jinja2(environment(page_html="<p>\n\n<a href='{{ secret }}'>"))
    (finding,) = found
    assert (finding.template, finding.line, finding.rule) == ("page.html", 3, R.URL)
    assert (finding.asvs, finding.cwe) == ("V1.2.2", "CWE-79")
    assert finding.hint
    assert "secret" not in repr(finding)


def test_every_rule_has_its_texts() -> None:
    """No rule is without words, and no id is given twice."""
    assert set(TEXTS) == set(TemplateRule)
    assert len({rule.value for rule in TemplateRule}) == len(TemplateRule)


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("page_html", "{{ x }}", []),
        ("page_txt", "{{ x }}", []),
        ("page_txt", "<p>{{ x }}</p>", [R.AUTOESCAPE_OFF]),
        ("page_jinja", "<p>{{ x }}</p>", [R.AUTOESCAPE_OFF]),
        ("page_html_j2", "{{ x }}", [R.AUTOESCAPE_OFF]),
        ("page_svg", "{{ x }}", [R.AUTOESCAPE_OFF]),
        ("page_md", "1 < 2", []),
    ],
    ids=["html", "txt", "txt of html", "jinja", "html.j2", "svg", "md"],
)
def test_endings_that_are_not_escaped(name: str, source: str, found: list[TemplateRule]) -> None:
    """``select_autoescape()`` escapes few endings; HTML under another one is found."""
    checked = environment(autoescape=select_autoescape())
    checked.loader = DictLoader({name.replace("_", "."): source})
    assert [finding.rule for finding in check_jinja2(checked)] == found


def test_an_environment_that_escapes_nothing() -> None:
    """Jinja2's own default is found for pages and for strings."""
    found = check_jinja2(environment(autoescape=False, page_html="<p>"))
    assert {finding.rule for finding in found} == {R.AUTOESCAPE_OFF, R.STRINGS_UNESCAPED}


def test_strings_that_are_not_escaped() -> None:
    """An environment that leaves strings unescaped is found."""
    made = environment(autoescape=select_autoescape(default_for_string=False), page_html="<p>")
    assert [(f.template, f.rule) for f in check_jinja2(made)] == [("<string>", R.STRINGS_UNESCAPED)]


def found_in(**templates: str) -> list[tuple[str, TemplateRule]]:
    """Return what is found in several templates."""
    return [(f.template, f.rule) for f in check_jinja2(environment(autoescape=True, **templates))]


BASE = "<script>{% block code %}{% endblock %}</script><p>{% block text %}{% endblock %}</p>"


def test_a_block_stands_where_its_parent_put_it() -> None:
    """A child's block is judged in the place that the parent gave it."""
    child = "{% extends 'base.html' %}{% block code %}{{ x }}{% endblock %}"
    assert found_in(base_html=BASE, child_html=child) == [("child.html", R.SCRIPT)]
    fine = "{% extends 'base.html' %}{% block text %}{{ x }}{% endblock %}"
    assert found_in(base_html=BASE, child_html=fine) == []


def test_a_block_of_a_grandparent() -> None:
    """The place is handed down through all parents."""
    middle = (
        "{% extends 'base.html' %}"
        "{% block text %}<b>{% block more %}{% endblock %}</b>{% endblock %}"
    )
    child = (
        "{% extends 'middle.html' %}"
        "{% block code %}{{ x }}{% endblock %}{% block more %}{{ x }}{% endblock %}"
    )
    assert found_in(base_html=BASE, middle_html=middle, child_html=child) == [
        ("child.html", R.SCRIPT)
    ]


def test_an_include_stands_where_it_is_included() -> None:
    """An included template is judged in the place of the include."""
    page = "<script>{% include 'part.txt' %}</script>{% include 'part.txt' %}"
    assert found_in(page_html=page, part_txt="{{ x }}") == [("part.txt", R.SCRIPT)]


def test_what_an_include_leaves_open_goes_on() -> None:
    """Text after an include is in the place where the include ended."""
    page = "{% include 'head.html' %}{{ x }}</script>"
    assert ("page.html", R.SCRIPT) in found_in(page_html=page, head_html="<script>")


def test_an_unescaped_include_of_a_page() -> None:
    """A template that is not escaped is found where it becomes part of a page."""
    made = environment(
        autoescape=select_autoescape(), page_html="{% include 'part.txt' %}", part_txt="{{ x }}"
    )
    found = [(finding.template, finding.rule) for finding in check_jinja2(made)]
    assert found == [("part.txt", R.AUTOESCAPE_OFF)]


@pytest.mark.parametrize(
    "page",
    [
        "{% from 'macros.txt' import m %}{{ m(x) }}",
        "{% import 'macros.txt' as n %}{{ n.m(x) }}",
        "{% import 'macros.txt' if x else 'none.html' as n %}{{ n.m(x) }}",
        "{% from 'other.html' import n %}{{ n(x) }}",
        "{% include 'other.html' %}",
    ],
    ids=["from", "import", "chosen", "through another", "through an include"],
)
def test_an_unescaped_macro_of_a_page(page: str) -> None:
    """What a macro gives counts as HTML, so that its template has to escape."""
    made = environment(
        autoescape=select_autoescape(),
        page_html=page,
        other_html="{% from 'macros.txt' import m %}{% macro n(x) %}{{ m(x) }}{% endmacro %}",
        macros_txt="{% macro m(x) %}{{ x }}{% endmacro %}",
    )
    found = [(finding.template, finding.rule) for finding in check_jinja2(made, ["page.html"])]
    assert found == [("macros.txt", R.AUTOESCAPE_OFF)]


def test_macros_that_import_each_other_end() -> None:
    """Recursion of imports ends."""
    page = "{% import 'page.html' as a %}{% import 'other.html' as b %}"
    assert found_in(page_html=page, other_html=page) == []


@pytest.mark.parametrize("name", ["extends", "include"])
def test_a_choice_of_templates_is_followed(name: str) -> None:
    """Both templates of a condition are read."""
    page = f"{{% {name} 'a.html' if x else 'b.html' %}}"
    part = "<script>{{ x }}</script>"
    for first, second in ((part, ""), ("", part)):
        made = environment(page_html=page, a_html=first, b_html=second)
        assert [finding.rule for finding in check_jinja2(made, ["page.html"])] == [R.SCRIPT]


@pytest.mark.parametrize(
    ("page", "value", "shown"),
    [
        ('<script>"a {{ x|tojson }}"</script>', ";alert(1);//", '"a ";alert(1);//"'),
        ("<script>`a {{ x|tojson }}`</script>", "${alert(1)}", "${alert(1)}"),
        ("{% from 'm.txt' import m %}{{ m(x) }}", "<script>", "<script>"),
        ('<p title="{{ x|urlize }}">', "http://a/onclick=alert(1)", '"http://a/onclick=alert(1)'),
        (
            "<p>{{ x|rich_text|truncate(20, true, '', 0) }}",
            "<a href=/abcdefghijkl>a</a>",
            "<a href",
        ),
        ("{{ [x]|map('safe')|join }}", "<script>", "<script>"),
        ("<script src='/{{ x }}'></script>", "/evil.example/a.js", "src='//evil.example"),
    ],
    ids=["string", "template literal", "macro", "urlize", "truncate", "map", "host"],
)
def test_what_is_found_is_an_attack(page: str, value: str, shown: str) -> None:
    """Jinja2 writes the attack into the page, as each of these rules says."""
    made = environment(
        autoescape=select_autoescape(),
        page_html=page,
        m_txt="{% macro m(x) %}{{ x }}{% endmacro %}",
    )
    assert shown in made.get_template("page.html").render(x=value)
    assert check_jinja2(made, ["page.html"])


def test_templates_that_include_each_other_end() -> None:
    """Recursion of templates ends."""
    page = "{% include ['page.html', 'other.html'] %}"
    other = "{% extends 'page.html' %}{% include 'page.html' %}{{ x }}"
    assert found_in(page_html=page, other_html=other) == []


def test_missing_parents_and_computed_names_are_passed_over() -> None:
    """What can't be known is not guessed."""
    assert found_in(page_html="{% extends 'none.html' %}{% include x %}{{ y }}") == []


def test_a_missing_template_is_unreadable() -> None:
    """A name that was asked for and is not there is a finding, not a silence."""
    (finding,) = check_jinja2(environment(), templates=["none.html"])
    assert (finding.template, finding.rule) == ("none.html", R.UNREADABLE)


def test_only_the_named_templates_are_checked() -> None:
    """The caller may name the templates."""
    made = environment(a_html="<p title={{ x }}>", b_html="<p title={{ x }}>")
    assert [f.template for f in check_jinja2(made, templates=["b.html"])] == ["b.html"]


def test_other_files_of_the_folder_are_passed_over() -> None:
    """Images and archives beside templates are no templates."""
    assert found_in(a_png="{% if") == []


@pytest.mark.parametrize(
    "made",
    [
        Environment(autoescape=True),
        Environment(autoescape=True, loader=FunctionLoader(lambda _: "")),
    ],
    ids=["no loader", "no list"],
)
def test_a_loader_that_can_not_list(made: Environment) -> None:
    """Nothing to check is an error, unless the names are given."""
    with pytest.raises(ConfigurationError):
        check_jinja2(made)


def test_missing_jinja2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Jinja2 the error says what to install."""
    made = environment(page_html="")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "stockade.sanitization.template_review", raising=False)
    with pytest.raises(ConfigurationError):
        check_jinja2(made)


PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "<",
                "</",
                ">",
                "=",
                "'",
                '"',
                " ",
                "\n",
                "a",
                "href",
                "<a ",
                "<script>",
                "</script>",
            ),
            *("<!--", "-->", "<!", "{{ x }}", "{{ x|tojson }}", "{% if x %}", "{% else %}", "/"),
            *("{% endif %}", "{% for x in y %}", "{% endfor %}", "<style", "javascript:", "="),
        ]
    ),
    max_size=25,
).map("".join)


@given(PIECES)
def test_any_template_is_judged(source: str) -> None:
    """Any template has findings or none; the check never fails and never runs for ever."""
    found = check_jinja2(environment(page_html=source))
    assert all(isinstance(finding, TemplateFinding) for finding in found)


class Shape(HTMLParser):
    """The tags of a page and the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))


ATTACKS = ["<script>alert(1)</script>", '" onmouseover="alert(1)', "' onmouseover='", " b=c >"]


@pytest.mark.parametrize("attack", ATTACKS)
@given(source=PIECES)
def test_clean_templates_hold_their_shape(source: str, attack: str) -> None:
    """Where nothing is found, no value adds a tag or an attribute to the page."""
    made = environment(page_html=source)
    if check_jinja2(made):
        return
    page = made.get_template("page.html")
    honest, attacked = page.render(x="q", y=["q"]), page.render(x=attack, y=[attack])
    assert Shape(attacked).tags == Shape(honest).tags


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<p onclick=x>a</p><script>b</script>", "<p>a</p>"),
        ("Tom & Jerry < 3", "Tom & Jerry < 3"),
        ("", ""),
        (None, ""),
        (Markup("<script>b</script>"), ""),
    ],
    ids=["markup", "plain", "empty", "none", "marked already"],
)
def test_the_filter_sanitizes_where_text_is_shown(value: str | None, shown: str) -> None:
    """What reaches the page is sanitized, whatever was stored."""
    made = environment(page_html="<div>{{ x|rich_text }}</div>")
    assert made.get_template("page.html").render(x=value) == f"<div>{shown}</div>"


def test_the_filter_takes_a_policy() -> None:
    """A template names the policy of what it shows."""
    made = environment(page_html="{{ x|rich_text('article') }}{{ x|rich_text }}")
    assert made.get_template("page.html").render(x="<h4>a</h4>") == "<h4>a</h4>a"


def test_the_filter_refuses_what_it_can_not_sanitize() -> None:
    """A value beyond the bounds of work is not shown."""
    with pytest.raises(SanitizationError):
        rich_text("<div>" * 10_000)
