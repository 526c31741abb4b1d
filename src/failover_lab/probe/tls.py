"""TLS on a connection of the probe: from bytes to bytes, so that the socket stays the probe's own.

A reset, a hang or an end without a goodbye is seen as the system tells it, and not as a library words it.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_READ = 1 << 16


class BrokenError(Exception):
    """The two sides could not agree; the message is one word for the record."""


@dataclass(frozen=True)
class Side:
    """What this side brings to each connection.

    Attributes:
        context: certificates, and whom to trust.
        name: asked for, and looked for in the server's certificate.
    """

    context: ssl.SSLContext
    name: str

    def channel(self) -> Channel:
        """For a new connection."""
        return Channel(self)


def side(
    name: str,
    *,
    ca: Path | None = None,
    insecure: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Side:
    """What to bring.

    Args:
        name: of the host that is asked.
        ca: whom to trust, in the place of those whom the system trusts.
        insecure: take any certificate.
        certificate: of the client, with its chain.
        key: of that certificate, unless it is in the same file.

    Raises:
        UserError: a file cannot be read, or is none of the kind.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"cannot read certificates of {ca}: {_why(error)}; give --ca a file in PEM"
            ) from error
    else:
        context.load_default_certs()
    if certificate is not None:
        try:
            # Otherwise OpenSSL itself would ask at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise UserError(
                f"cannot use the certificate of {certificate}: {_why(error)}; give --cert a file in PEM, and "
                "--key one with its key, unless it holds that as well, without a passphrase"
            ) from error
    # A zone and a final dot are for whoever looks the name up.
    return Side(context, name.partition("%")[0].removesuffix("."))


def _why(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _word(error: ssl.SSLError) -> str:
    """What was wrong, in one word: a record has no place for sentences."""
    said = getattr(error, "verify_message", "") or error.reason or type(error).__name__
    return re.sub(r"[^a-z0-9]+", "_", said.partition(",")[0].lower()).strip("_")[:60]


class Channel:
    """One connection: what is written becomes bytes to send, what was received becomes what was sent.

    Attributes:
        ready: the handshake is over.
        ended: the other side has said that it sends no more.
    """

    __slots__ = ("_in", "_object", "_out", "ended", "ready")

    def __init__(self, own: Side) -> None:
        """Nothing was said yet."""
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = own.context.wrap_bio(self._in, self._out, server_hostname=own.name)
        self.ready = False
        self.ended = False

    def shake(self) -> bytes:
        """Go on with the handshake as far as that is possible; what is to be sent.

        Raises:
            BrokenError: it has failed.
        """
        try:
            self._object.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, ValueError) as error:
            raise BrokenError(_word(error) if isinstance(error, ssl.SSLError) else "no_name") from error
        return self._out.read()

    def seal(self, data: bytes) -> bytes:
        """What is to be sent for this."""
        self._object.write(data)
        return self._out.read()

    def received(self, data: bytes) -> None:
        """Take what has come from the socket."""
        self._in.write(data)

    def unseal(self) -> bytes:
        """What has come so far, once the handshake is over.

        Raises:
            BrokenError: it was not written by the other side, or that side has complained.
        """
        parts = []
        try:
            # Where nothing is left, asking for it would cost an exception.
            while self._in.pending or self._object.pending():
                if not (piece := self._object.read(_MOST_READ)):
                    self.ended = True
                    break
                parts.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if not parts:
                raise BrokenError(_word(error)) from error
        return b"".join(parts)

    def answers(self) -> bytes:
        """What TLS itself has to send, such as new keys."""
        return self._out.read()

    def goodbye(self) -> bytes:
        """What says that nothing more will be sent."""
        with contextlib.suppress(ssl.SSLError):
            self._object.unwrap()
        return self._out.read()
