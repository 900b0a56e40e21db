"""The headers of a page with rich text let nothing run that is not the site's own file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stockade.errors import ConfigurationError
from stockade.sanitization import find_policy
from stockade.sanitization.pages import rich_text_page_policy


def directives(**options: Any) -> dict[str, str]:  # noqa: ANN401 - options of the function
    """Return the directives of the policy."""
    text = rich_text_page_policy(**options)["Content-Security-Policy"]
    return dict(part.split(" ", 1) for part in text.split("; "))


def test_nothing_is_open_by_default() -> None:
    """The default allows the site's own files, and nothing inline."""
    found = directives()
    assert found["default-src"] == found["object-src"] == found["base-uri"] == "'none'"
    assert found["frame-ancestors"] == found["trusted-types"] == "'none'"
    assert found["script-src"] == found["style-src"] == found["img-src"] == "'self'"
    assert found["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in " ".join(found.values())


def test_images_come_from_named_hosts() -> None:
    """Hosts of the call and of the policy are allowed, each once."""
    policy = replace(find_policy("article"), name="hosts", image_hosts=frozenset({"i.example"}))
    found = directives(
        policy=policy, image_hosts=["*.cdn.example", "https://i.example", "i.example"]
    )
    assert found["img-src"] == "'self' *.cdn.example https://i.example i.example"


def test_a_policy_of_any_host_opens_none() -> None:
    """Hosts are named by the page; a policy that takes images of all hosts opens no host."""
    assert directives(policy="article")["img-src"] == "'self'"


def test_a_policy_without_images_opens_no_host() -> None:
    """Hosts of images are of no use where there are none."""
    policy = replace(find_policy("default"), name="no-images", image_hosts=frozenset({"i.example"}))
    assert directives(policy=policy)["img-src"] == "'self'"


def test_frames_and_trusted_types() -> None:
    """Who may frame the page, and which policies its scripts make, is named."""
    found = directives(frame_ancestors=["www.x.example"], trusted_types=["dompurify", "app#html"])
    assert found["frame-ancestors"] == "www.x.example"
    assert found["trusted-types"] == "dompurify app#html"


@pytest.mark.parametrize("url", ["/csp-reports", "https://reports.x.example/csp"])
def test_reports(url: str) -> None:
    """Reports go to one endpoint, named in both ways."""
    headers = rich_text_page_policy(report_to=url)
    assert headers["Reporting-Endpoints"] == f'rich-text="{url}"'
    assert directives(report_to=url)["report-uri"] == url
    assert directives(report_to=url)["report-to"] == "rich-text"


def test_without_reports_there_is_one_header() -> None:
    """Nothing is sent that was not asked for."""
    assert set(rich_text_page_policy()) == {"Content-Security-Policy"}


@pytest.mark.parametrize("name", ["image_hosts", "frame_ancestors", "trusted_types"])
@pytest.mark.parametrize(
    "value",
    [
        "'unsafe-inline'",
        "x.example; script-src *",
        "x.example, script-src *",
        "x.example *",
        "x.example\r\nX: y",
        "'none'",
        "",
        " ",
        "é.example",
    ],
)
def test_values_say_nothing_else(name: str, value: str) -> None:
    """No value adds a directive, a keyword or a header."""
    with pytest.raises(ConfigurationError):
        rich_text_page_policy(**{name: [value]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["*", "https:", "data:", "https://*", "http://", "x.example/a", "A.example"]
)
def test_hosts_are_hosts(value: str) -> None:
    """A scheme or a wildcard alone would open every host."""
    with pytest.raises(ConfigurationError):
        rich_text_page_policy(image_hosts=[value])


@pytest.mark.parametrize(
    "value", ["reports", "http://x.example/a", "//x.example/a", '/a" b', "/a; b", "/a,b", "/\n", ""]
)
def test_reports_go_to_a_plain_url(value: str) -> None:
    """An endpoint that could end its directive is refused."""
    with pytest.raises(ConfigurationError):
        rich_text_page_policy(report_to=value)


@pytest.mark.parametrize("name", ["image_hosts", "frame_ancestors", "trusted_types"])
def test_a_text_is_no_list(name: str) -> None:
    """One host given as a text would be read as its letters."""
    with pytest.raises(ConfigurationError):
        rich_text_page_policy(**{name: "x.example"})


def test_unknown_policies_are_refused() -> None:
    """A misspelt policy stops the start."""
    with pytest.raises(ConfigurationError):
        rich_text_page_policy("no such policy")
