"""TLS to the broker: what the `[bus]` table names becomes a context, and a failure a sentence.

With `ca_file` nothing is said before the broker has proven its name by a certificate of that
authority; with a certificate of our own, we prove ours. Both MQTT libraries take the context.
Who proves its name by a password says it once the broker answers; what comes of that is
put into words here, too.
"""

import os
import re
import ssl
from pathlib import Path
from typing import Final

from twin_runtime.adapters.config import BusConfig
from twin_runtime.core.errors import InvalidConfiguration

_OTHER_NAME: Final = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")

_NO_USER: Final = re.compile("not authori[sz]ed|bad user ?name", re.IGNORECASE)


def tls_context(bus: BusConfig) -> ssl.SSLContext | None:
    """What `bus` says of TLS; None: it is not spoken.

    Raises:
        InvalidConfiguration: a file cannot be used.
    """
    if bus.ca_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(bus.ca_file)
    except OSError as error:
        raise _unusable(f"bus.ca_file = {str(bus.ca_file)!r}", error) from None
    if bus.certificate_file is not None:
        _prove(context, bus.certificate_file, bus.key_file)
    return context


def _prove(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # Without a password OpenSSL would ask for one, of a terminal that nobody looks at.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        files = f"bus.certificate_file = {str(certificate)!r} with bus.key_file = {str(key)!r}"
        raise _unusable(files, error) from None


def in_words(error: OSError) -> str:
    """Why a broker and we did not come to speak TLS, and where to look."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        if error.verify_code in _OTHER_NAME:
            return f"its certificate is for another name ({why}): see bus.host"
        return f"its certificate is not to be trusted ({why}): see bus.ca_file"
    if isinstance(error, ssl.SSLError) and error.reason not in _NOT_TLS:
        return f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):
        return "it hung up: does it speak TLS there? See bus.port"
    return os.strerror(error.errno) if error.errno else str(error)


def lost_before_let_in(why: str, *, over_tls: bool) -> str:
    """Why a broker that answered ended the connection before it had let us in."""
    if not over_tls:
        return why
    return f"{why}: does it want a certificate, or another one? See bus.certificate_file"


def refused(why: str) -> str:
    """What a broker that knows its users said to us; both MQTT libraries have their words."""
    return f"{why}: see bus.password, and the broker's users" if _NO_USER.search(why) else why


def _unusable(files: str, error: OSError) -> InvalidConfiguration:
    if not isinstance(error, ssl.SSLError):
        why = f"{error.strerror}: name files that this process may read"
    elif error.reason == "KEY_VALUES_MISMATCH":
        why = "they do not belong together"
    else:
        why = "nothing there can be used: PEM is needed, and a key without a password"
    return InvalidConfiguration(f"{files} is refused: {why}")
