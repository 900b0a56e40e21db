import pytest
from pydantic import ValidationError

from stockade.web import WebSettings


@pytest.mark.parametrize(
    "values",
    [
        {"trusted_proxies": ["0.0.0.0/0"]},
        {"trusted_proxies": ["::/0"]},
        {"trusted_proxies": ["0.0.0.0/1", "128.0.0.0/1"]},
        {"trusted_proxies": ["2000::/3"]},
        {"trusted_proxies": ["*"]},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"trusted_proxies": ["proxy.example.com"]},
        {"allowed_hosts": ["*"]},
        {"allowed_hosts": ["*."]},
        {"allowed_hosts": ["a.*.example.com"]},
        {"allowed_hosts": ["example.com:80"]},
        {"allowed_hosts": ["https://example.com"]},
        {"allowed_hosts": ["example.com/"]},
        {"allowed_hosts": [""]},
        {"allowed_hosts": ["exämple.com"]},
        {"allowed_hosts": ["example.com\n"]},
        {"content_security_policy": "default-src 'none'\r\nSet-Cookie: a=b"},
        {"content_security_policy": "default-src \u2018none\u2019"},
        {"content_security_policy": ""},
        {"max_body_size": -1},
        {"max_request_id": 7},
        {"max_request_id": 513},
        {"hsts_max_age": -1},
        {"unheard_of": 1},
    ],
    ids=str,
)
def test_a_setting_that_can_not_be_safe_is_refused(values: dict[str, object]) -> None:
    """Trusting everybody, answering to every name and injecting headers stop the start."""
    with pytest.raises(ValidationError):
        WebSettings.model_validate(values)


@pytest.mark.parametrize("network", ["10.0.0.0/8", "192.0.2.1", "fc00::/7", "2001:db8::/32"])
def test_networks_of_proxies_are_accepted(network: str) -> None:
    """The widest private networks and anything smaller can hold proxies."""
    (found,) = WebSettings.model_validate({"trusted_proxies": [network]}).trusted_proxies
    assert str(found).startswith(network)


def test_host_names_are_kept_in_lower_case() -> None:
    """Names are compared without their case."""
    hosts = WebSettings.model_validate({"allowed_hosts": ["Example.COM", "*.Example.com"]})
    assert hosts.allowed_hosts == ("example.com", "*.example.com")
