"""Run nginx, Caddy and Traefik with the configurations of compose/proxy, before gateways of a test."""

import contextlib
import os
import shutil
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from hanner.utils import processes
from support.markdown import ROOT
from support.ports import free_port
from support.tls import make_certificate
from support.waiting import wait_until

EXAMPLES = ROOT / "compose" / "proxy"
NAME = "ner.example.org"
NGINX = """\
pid {folder}/nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    Attributes:
        port: The port it listens on, with TLS.
        certificate: Its self-signed certificate, for localhost and 127.0.0.1.
        url: Its URL.
    """

    port: int
    certificate: Path

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def client(self, address="127.0.0.1", **headers):
        """Return an HTTP client that connects from an address of the loopback network."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        transport = httpx.HTTPTransport(verify=context, local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, headers=headers, timeout=120)


def replaced(text, replacements):
    """Return a configuration with its examples replaced; each has to occur in it."""
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, str(new))
    return text


@contextlib.contextmanager
def nginx(folder, ports):
    """Run nginx with compose/proxy/nginx.conf before two gateways."""
    port = free_port()
    certificate, key = make_certificate(folder)
    server = replaced(
        (EXAMPLES / "nginx.conf").read_text("utf-8"),
        {
            "127.0.0.1:8080": f"127.0.0.1:{ports[0]}",
            "127.0.0.1:8081": f"127.0.0.1:{ports[1]}",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            NAME + ";": "localhost;",
            f"/etc/ssl/{NAME}/fullchain.pem": certificate,
            f"/etc/ssl/{NAME}/privkey.pem": key,
        },
    )
    user = "user root;" if os.geteuid() == 0 else ""  # for the folder of the test
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, user=user, server=server), "utf-8")
    command = [shutil.which("nginx"), "-p", str(folder), "-c", str(config), "-g", "daemon off;"]
    with _running(command, folder, Proxy(port, certificate)) as proxy:
        yield proxy


@contextlib.contextmanager
def caddy(folder, ports):
    """Run Caddy with compose/proxy/Caddyfile before two gateways."""
    port = free_port()
    certificate, key = make_certificate(folder)
    site = replaced(
        (EXAMPLES / "Caddyfile").read_text("utf-8"),
        {
            "127.0.0.1:8080": f"127.0.0.1:{ports[0]}",
            "127.0.0.1:8081": f"127.0.0.1:{ports[1]}",
            NAME + " {": f"https://localhost:{port} {{\n\ttls {certificate} {key}\n\tbind 127.0.0.1",
        },
    )
    config = folder / "Caddyfile"
    # Without HTTP/3, because the tests claim ports by their UDP sockets.
    options = "admin off\nauto_https disable_redirects\nservers {\nprotocols h1 h2\n}"
    config.write_text(f"{{\n{options}\n}}\n{site}", "utf-8")
    command = [shutil.which("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    with _running(command, folder, Proxy(port, certificate)) as proxy:
        yield proxy


@contextlib.contextmanager
def traefik(folder, ports):
    """Run Traefik with compose/proxy/traefik.yml and traefik-static.yml before two gateways."""
    port = free_port()
    certificate, key = make_certificate(folder)
    dynamic = yaml.safe_load(
        replaced(
            (EXAMPLES / "traefik.yml").read_text("utf-8"),
            {"127.0.0.1:8080": f"127.0.0.1:{ports[0]}", "127.0.0.1:8081": f"127.0.0.1:{ports[1]}", NAME: "localhost"},
        )
    )
    # The certificate of the test instead of one from Let's Encrypt.
    for router in dynamic["http"]["routers"].values():
        assert router["tls"].pop("certResolver") == "letsencrypt"
    dynamic["tls"] = {"certificates": [{"certFile": str(certificate), "keyFile": str(key)}]}
    (folder / "hanner.yml").write_text(yaml.safe_dump(dynamic), "utf-8")
    static = yaml.safe_load(
        replaced(
            (EXAMPLES / "traefik-static.yml").read_text("utf-8"),
            {'":443"': f'"127.0.0.1:{port}"', "/etc/traefik/hanner.yml": folder / "hanner.yml"},
        )
    )
    assert set(static.pop("certificatesResolvers")) == {"letsencrypt"}
    (folder / "traefik.yml").write_text(yaml.safe_dump(static), "utf-8")
    command = [find("traefik"), f"--configFile={folder}/traefik.yml"]
    with _running(command, folder, Proxy(port, certificate)) as proxy:
        yield proxy


def find(program):
    """Return the path of a program of the system, or of a package in this environment, or None."""
    return shutil.which(program) or shutil.which(program, path=Path(sys.executable).parent)


@contextlib.contextmanager
def _running(command, folder, proxy):
    """Run a proxy until the block ends; yield it once it serves its certificate."""
    context = ssl.create_default_context(cafile=str(proxy.certificate))

    def serves():
        assert process.poll() is None, log.read_text("utf-8")
        # Traefik listens before it has the certificate.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", proxy.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost"),
        ):
            return True

    log = folder / "proxy.log"
    with log.open("wb") as output:
        env = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        process = processes.start(command, output=output, env=env)
    try:
        wait_until(serves)
        yield proxy
    finally:
        processes.stop(process, timeout=30)
