"""Handle the outermost layer of HTTP: address, host, request id, headers, body size, errors."""

from stockade.web.addresses import ClientAddresses
from stockade.web.headers import security_headers
from stockade.web.hosts import HostAllowList
from stockade.web.settings import WebSettings

__all__ = ["ClientAddresses", "HostAllowList", "WebSettings", "security_headers"]
