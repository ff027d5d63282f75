"""Which hosts pictures may be fetched from, and which addresses may stand behind them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from app.errors import FetchRefused
from app.settings import Settings

__all__ = ["HostRules"]

Address = IPv4Address | IPv6Address

_PORT = re.compile(r":(\d+)$")

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Of IPv6, only this is routed in public. What stands for an IPv4 address is elsewhere
# (::ffff:0:0/96, the NAT64 prefixes 64:ff9b::/96 and 64:ff9b:1::/48), or is one of the tunnels.
_PUBLIC_IPV6 = ip_network("2000::/3")
_TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))

# Link-local addresses are not among them: a cloud tells its machines their secrets there.
_PRIVATE = [
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "::1/128",
        "fc00::/7",
    )
]


@dataclass(frozen=True)
class _Pattern:
    """A listed host: a name, `*.` and a domain, or an address; and its port, if not the usual."""

    host: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> "_Pattern":
        port = _PORT.search(text)
        host = _PORT.sub("", text).strip("[]").lower()
        return cls(host, int(port[1]) if port else None)

    def matches(self, scheme: str, host: str, port: int) -> bool:
        if port != (_DEFAULT_PORTS[scheme] if self.port is None else self.port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return host == self.host


class HostRules:
    """The hosts that the settings list.

    Args:
        settings: `fetch_hosts`, and `fetch_private_hosts`, whose addresses may be private.
    """

    def __init__(self, settings: Settings) -> None:
        self._public = _patterns(settings.fetch_hosts)
        self._private = _patterns(settings.fetch_private_hosts)

    def __bool__(self) -> bool:
        """Whether any host is listed."""
        return bool(self._public or self._private)

    def check_host(self, scheme: str, host: str, port: int) -> None:
        """Check that a host is listed, at this port.

        Raises:
            FetchRefused: it is not.
        """
        if not _listed(self._public + self._private, scheme, host, port):
            raise FetchRefused(
                f"pictures are not fetched from {host[:80]!r} at port {port}: the operator of this "
                "service lists the hosts in UNROLLED_FETCH_HOSTS"
            )

    def check_addresses(self, scheme: str, host: str, port: int, addresses: Iterable[str]) -> None:
        """Check every address that a listed host has.

        Raises:
            FetchRefused: one is not public, and the host is not listed as private, or it is an
                address that no host may have.
        """
        private = _listed(self._private, scheme, host, port)
        for text in addresses:
            address = ip_address(text.partition("%")[0])
            if not (_is_public(address) or (private and _is_private(address))):
                raise FetchRefused(
                    f"{host[:80]!r} does not have a public address: only hosts in "
                    "UNROLLED_FETCH_PRIVATE_HOSTS may be in a private network"
                )


def _patterns(texts: Iterable[str]) -> list[_Pattern]:
    return [_Pattern.of(text) for text in texts]


def _listed(patterns: Iterable[_Pattern], scheme: str, host: str, port: int) -> bool:
    return any(pattern.matches(scheme, host, port) for pattern in patterns)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _PUBLIC_IPV6 and not any(address in tunnel for tunnel in _TUNNELS)


def _is_private(address: Address) -> bool:
    return any(address in network for network in _PRIVATE)
