import pytest

from app.errors import FetchRefused
from app.http.compat.hosts import HostRules
from app.settings import Settings


def rules(*hosts: str, private: tuple[str, ...] = ()) -> HostRules:
    return HostRules(Settings(fetch_hosts=hosts, fetch_private_hosts=private))


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port"),
    [
        ("example.org", "https", "example.org", 443),
        ("Example.ORG", "http", "example.org", 80),
        ("*.example.org", "https", "a.b.example.org", 443),
        ("example.org:8443", "https", "example.org", 8443),
        ("192.0.2.7", "http", "192.0.2.7", 80),
        ("[2001:DB8::7]:81", "http", "2001:db8::7", 81),
        ("[2001:db8::7]", "http", "2001:db8::7", 80),
    ],
)
def test_listed_hosts(pattern: str, scheme: str, host: str, port: int) -> None:
    rules(pattern).check_host(scheme, host, port)
    rules(private=(pattern,)).check_host(scheme, host, port)


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port"),
    [
        ("example.org", "https", "www.example.org", 443),
        ("example.org", "https", "example.org", 8443),
        ("example.org", "http", "example.org", 443),
        ("example.org:8443", "https", "example.org", 443),
        ("*.example.org", "https", "example.org", 443),
        ("*.example.org", "https", "badexample.org", 443),
        ("example.org", "https", "example.org.evil.net", 443),
    ],
)
def test_other_hosts_and_ports_are_refused(pattern: str, scheme: str, host: str, port: int) -> None:
    with pytest.raises(FetchRefused, match="UNROLLED_FETCH_HOSTS"):
        rules(pattern).check_host(scheme, host, port)


def test_without_hosts_there_are_no_rules() -> None:
    assert not rules()
    assert rules("example.org")
    assert rules(private=("nas",))


PUBLIC = ["93.184.216.34", "2606:4700::1111"]
PRIVATE = [
    "10.1.2.3", "172.31.0.1", "192.168.1.5", "127.0.0.1", "100.64.0.1", "::1", "fd00:ec2::5",
]  # fmt: skip
NEVER = [
    "0.1.2.3",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "::ffff:93.184.216.34",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
]


def test_public_addresses_are_allowed() -> None:
    rules("example.org").check_addresses("https", "example.org", 443, PUBLIC)


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_one_address_that_is_not_public_refuses_the_host(address: str) -> None:
    with pytest.raises(FetchRefused, match="public address"):
        rules("example.org").check_addresses("https", "example.org", 443, [*PUBLIC, address])


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_host_may_have_private_addresses(address: str) -> None:
    allowed = rules("example.org", private=("nas.lan:81",))
    allowed.check_addresses("http", "nas.lan", 81, [address])
    with pytest.raises(FetchRefused, match="FETCH_PRIVATE_HOSTS"):
        allowed.check_addresses("http", "nas.lan", 80, [address])


@pytest.mark.parametrize("address", NEVER)
def test_no_host_may_have_an_address_that_is_neither_public_nor_private(address: str) -> None:
    with pytest.raises(FetchRefused):
        rules(private=("nas.lan",)).check_addresses("http", "nas.lan", 80, [address])
