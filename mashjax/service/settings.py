"""What whoever starts the service decides, and what it allows."""

import dataclasses
import ipaddress
import pathlib

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of what one server does for its clients."""

    upload_bytes: int = 100 * MIB
    upload_seconds: float = 900.0  # of music
    uploads: int = 20  # at a time
    decode_seconds: float = 60.0  # of processor time, for an upload
    decode_bytes: int = 1024 * MIB  # of address space, for an upload
    body_bytes: int = 64 << 10  # of any other request
    body_seconds: float = 10.0  # until it has arrived
    upload_wait: float = 300.0  # seconds until an upload has arrived
    header_seconds: float = 10.0  # until a request's headers have arrived
    running: int = 1  # jobs at a time
    waiting: int = 8  # jobs
    job_seconds: float = 900.0
    kept: int = 32  # ended jobs, the newest, with what they made
    connections: int = 128


@dataclasses.dataclass(frozen=True)
class Settings:
    """music: the folder that the library's songs are in; host: what the service listens on.

    token: what a request that changes something must carry; "": nothing, for loopback.
    names: host names, beside addresses and localhost, under which browsers may reach it.
    """

    music: pathlib.Path
    host: str = "127.0.0.1"
    token: str = ""
    names: tuple[str, ...] = ()
    limits: Limits = Limits()

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
