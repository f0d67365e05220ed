"""The address of Redis: parses HANNER_BROKER_URL for all parts of hanner, and shows it without its password. Pure."""

import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

TCP_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
"""Schemes of one server, and whether they mean TLS."""
SOCKET_SCHEMES = ("unix", "redis+socket")
SENTINEL = "sentinel"
DEFAULT_PORT, SENTINEL_PORT = 6379, 26379
DEFAULT_MASTER = "mymaster"
"""Name of the master that sentinels are asked for, unless the URL has `?master_name=…`."""
CERT_REQS = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
FILE_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
TIMEOUT_OPTIONS = ("socket_timeout", "socket_connect_timeout")
IGNORED_OPTIONS = (
    "protocol",
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "max_connections",
    "retry_on_timeout",
    "socket_keepalive",
)
"""Options of other clients that hanner decides itself: a URL that another program uses works here too."""

_FORMS = "write redis://HOST:PORT/DB, rediss:// for TLS, unix:///PATH, or sentinel://HOST:PORT"
_ENCODING = (
    "write special characters of the user name and the password in percent-encoding: %40 for @, %2F for /, %3F for ?, "
    "%23 for #, %25 for %"
)
_HOST = "the host must be a name, an IPv4 address, or an IPv6 address in brackets"
_PORT = "the port must be a number from 1 to 65535, as in redis://localhost:6379/0"
_DATABASE = "the database must be a number, as in redis://localhost:6379/0 or unix:///run/redis.sock?db=0"
_SEVERAL = "separate several addresses with a comma, each with its scheme, as in redis://one:6379/0,redis://two:6379/0"
_NEXT_ADDRESS = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z+]*://)")
_NEXT_URL = re.compile(r";(?=[A-Za-z][A-Za-z+]*://)")
_NODE = re.compile(r"(?P<host>\[[\da-fA-F:.]+\]|[^\s:;,\[\]]*)(?::(?P<port>[^:]*))?")
_SHOWN = re.compile(r"(?P<host>[\w.-]*|\[[\da-fA-F:.]+\])(?P<port>:[^/]*)?(?P<database>/[\w.-]*)?")
"""Host, port and database of an invalid URL, to be shown in an error."""
_PLAIN = re.compile(r"[\w.-]*(:\d+)?(/\d*)?")
"""A URL without scheme and login, which is shown as it is."""
_SCHEME = re.compile("[A-Za-z][A-Za-z+]*")
_OPTION = re.compile("[a-z_]+")


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where Redis is, and how to log in.

    Attributes:
        nodes: Host and port of the server, or of each sentinel; empty for a socket.
        path: Path of the server's Unix socket; empty if it has none.
        master: Name of the master; empty if `nodes` are not sentinels.
        database: Number of the database.
        username: User name; empty for the default user.
        password: Password; empty for no password.
        tls: redis-py's `ssl_…` options; None without TLS.
        timeouts: redis-py's `socket_timeout` and `socket_connect_timeout` in seconds, if the URL has them.
    """

    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    tls: Mapping[str, Any] | None = None
    timeouts: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the URL without its secrets, for logs and errors."""
        if self.password:
            return self._format(f"{quote(self.username, safe='')}:**@", "unix", "db")
        return self._format("**@" if self.username else "", "unix", "db")  # a lone name may be a misplaced password

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def tag(self) -> str:
        """Eight hexadecimal digits that identify the server and its database, without login."""
        nodes = ";".join(f"{host}:{port}" for host, port in self.nodes)
        return hashlib.sha256(f"{self.master}|{nodes}|{self.path}|{self.database}".encode()).hexdigest()[:8]

    def celery_url(self) -> str:
        """Return the URL as Celery and kombu read it, with the password. TLS options and master are not in it."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        login = f"{quote(self.username, safe='')}{password}"
        return self._format(f"{login}@" if login else "", "redis+socket", "virtual_host")

    def _format(self, login: str, socket_scheme: str, database_option: str) -> str:
        if self.path:
            return f"{socket_scheme}://{login}{quote(self.path)}?{database_option}={self.database}"
        scheme = SENTINEL if self.master else "redis" if self.tls is None else "rediss"
        hosts = [f"{f'[{host}]' if ':' in host else host}:{port}" for host, port in self.nodes]
        return ";".join(f"{scheme}://{login}{host}/{self.database}" for host in hosts)

    def client_options(self) -> dict[str, Any]:
        """Return redis-py's options of a client of the server, or of the master that sentinels name."""
        options: dict[str, Any] = {"db": self.database, **self.timeouts}
        options |= {name: value for name in ("username", "password") if (value := getattr(self, name))}
        if self.tls is not None:
            options |= {"ssl": True, **self.tls}
        if self.path:
            return options | {"unix_socket_path": self.path}
        return options if self.master else options | {"host": self.nodes[0][0], "port": self.nodes[0][1]}


def split_addresses(text: str) -> list[str]:
    """Return the URLs in a list that is separated by commas; a single URL is a list of one."""
    return _NEXT_ADDRESS.split(text.strip())


def parse_addresses(text: str) -> list[BrokerAddress]:
    """Return the addresses that a list of URLs means.

    Raises:
        ValueError: one of them means none, or two mean the same server and database.
    """
    addresses = [parse_address(url) for url in split_addresses(text)]
    tags = [address.tag for address in addresses]
    for number, address in enumerate(addresses):
        if address.tag in tags[:number]:
            raise ValueError(f"names {address} twice; name each address once")
    return addresses


def parse_address(text: str) -> BrokerAddress:
    """Return the address that a URL means.

    Raises:
        ValueError: it means none; the message shows the URL without its secrets, and how to correct it.
    """
    url = text.strip()
    try:
        return _parse(url)
    except ValueError as error:
        raise ValueError(f"cannot be used: {_redact_invalid(url)!r}; {error}") from None


def redact_url(url: str) -> str:
    """Return a URL, or a list of URLs, without its secrets, for logs and errors; it may be invalid."""
    parts = split_addresses(url)
    if len(parts) > 1:
        return ",".join(map(redact_url, parts))
    try:
        return str(_parse(url.strip()))
    except ValueError:
        return _redact_invalid(url.strip())


@dataclass(frozen=True, slots=True)
class _Part:
    """One URL of a list: its scheme, login, hosts, path and options, all as they are written but the scheme."""

    scheme: str
    login: str
    hosts: str
    path: str
    options: Mapping[str, str]


def _parse(url: str) -> BrokerAddress:
    if not url.isprintable():
        raise ValueError("remove its control characters")
    parts = [_split(part) for part in _NEXT_URL.split(url)]
    first = parts[0]
    if len(parts) > 1 and any(part.scheme != SENTINEL for part in parts):
        raise ValueError(_SEVERAL)
    username, _, password = next((part.login for part in parts if part.login), "").partition(":")
    options = {name: value for part in parts for name, value in part.options.items()}
    is_socket, is_sentinel = first.scheme in SOCKET_SCHEMES, first.scheme == SENTINEL
    _check_options(options, first.scheme)
    paths = [] if is_socket else [part.path for part in parts]
    return BrokerAddress(
        nodes=() if is_socket else tuple(_parse_node(host, first.scheme) for part in parts for host in _hosts(part)),
        path=unquote(first.path) if is_socket else "",
        master=options.get("master_name") or DEFAULT_MASTER if is_sentinel else "",
        database=_parse_database([*paths, options.get("db", ""), options.get("virtual_host", "")]),
        username=unquote(username),
        password=unquote(password),
        tls=_parse_tls(options) if TCP_SCHEMES.get(first.scheme) else None,
        timeouts={name: _seconds(name, options[name]) for name in TIMEOUT_OPTIONS if name in options},
    )


def _split(url: str) -> _Part:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in (*TCP_SCHEMES, *SOCKET_SCHEMES, SENTINEL):
        raise ValueError(_FORMS)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    login, at, hosts = authority.rpartition("@")
    tail = rest[len(authority) :]
    is_complete = bool(at) or not authority
    if "#" in tail or ("@" in tail and not (scheme in SOCKET_SCHEMES and is_complete)):
        raise ValueError(_ENCODING)
    path, _, query = tail.partition("?")
    if scheme in SOCKET_SCHEMES and (hosts or not path.strip("/")):
        raise ValueError("the path of a socket begins with a third slash, as in unix:///run/redis.sock")
    return _Part(scheme, login, hosts, path, dict(parse_qsl(query, keep_blank_values=True)))


def _hosts(part: _Part) -> list[str]:
    return re.split("[;,]", part.hosts) if part.scheme == SENTINEL else [part.hosts]


def _parse_node(text: str, scheme: str) -> tuple[str, int]:
    found = _NODE.fullmatch(text)
    if found is None:
        several = re.search("[;,]", text)
        raise ValueError(_SEVERAL if several else _HOST)
    port = found["port"] or str(SENTINEL_PORT if scheme == SENTINEL else DEFAULT_PORT)
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError(_PORT)
    return found["host"].strip("[]") or "localhost", int(port)


def _parse_database(values: list[str]) -> int:
    """Return the number of the database, which may be in a path and in options."""
    given = {value.strip("/") for value in values} - {""}
    if not all(value.isascii() and value.isdecimal() for value in given):
        raise ValueError(_DATABASE)
    if len(numbers := set(map(int, given))) > 1:
        raise ValueError(f"it names several databases, {' and '.join(map(str, sorted(numbers)))}; name one")
    return numbers.pop() if numbers else 0


def _check_options(options: Mapping[str, str], scheme: str) -> None:
    master = ("master_name",) if scheme == SENTINEL else ()
    known = ("db", "virtual_host", *TIMEOUT_OPTIONS, *master)
    tls_options = (*FILE_OPTIONS, "ssl_cert_reqs", "ssl_check_hostname")
    is_tls = TCP_SCHEMES.get(scheme, False)
    for name in options:
        if name in tls_options and not is_tls:
            raise ValueError("options that begin with ssl_ need rediss://")
        if name not in (*known, *tls_options, *IGNORED_OPTIONS):
            shown = f"{name} is not an option" if _OPTION.fullmatch(name) else "what follows ? is not an option"
            allowed = ", ".join((*known, *tls_options) if is_tls else known)
            raise ValueError(f"{shown}; options are {allowed}")


def _parse_tls(options: Mapping[str, str]) -> Mapping[str, Any]:
    tls: dict[str, Any] = {name: options[name] for name in FILE_OPTIONS if name in options}
    requirement = CERT_REQS.get(options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_"))
    if requirement is None:
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    tls["ssl_cert_reqs"] = requirement
    check = options.get("ssl_check_hostname")
    if check is not None:
        if check.lower() not in ("true", "false", "1", "0"):
            raise ValueError("ssl_check_hostname must be true or false")
        tls["ssl_check_hostname"] = check.lower() in ("true", "1")
    return tls


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name} must be a number of seconds greater than 0")
    return seconds


def _redact_invalid(url: str) -> str:
    """Return scheme, host, numeric port and database of an invalid URL; anything else may be part of a password."""
    scheme, _, rest = url.partition("://") if url.count("://") == 1 else ("", "", url)
    if not _SCHEME.fullmatch(scheme):
        return url if _PLAIN.fullmatch(url) else "**"
    _, at, address = rest.rpartition("@")
    found = _SHOWN.fullmatch(address.partition("?")[0])
    if found is None:
        return f"{scheme}://**"
    port = found["port"] or ""
    if port[1:].isdecimal() or not port:
        return f"{scheme}://{at and '**@'}{found['host']}{port}{found['database'] or ''}"
    return f"{scheme}://{at and '**@'}{found['host'] if at else ''}:**"
