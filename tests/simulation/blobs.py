"""Blobs in the simulation: the production's files, in a folder that outlives every crash."""

from hashlib import sha256
from pathlib import Path
from random import Random

from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.core.limits import CHUNK_BYTES_MAX
from twin_runtime.core.messages import BlobRef

NAMES = ("model", "history")
CHUNKS_MAX = 2.2
REMOVED = 0.15  # of all changes
SHA256_CHARS = 64


def some_content(rng: Random) -> bytes:
    """A blob of up to three chunks."""
    return rng.randbytes(rng.randint(1, int(CHUNKS_MAX * CHUNK_BYTES_MAX)))


def put(files: BlobFiles, content: bytes) -> BlobRef:
    """Keep a blob as an upload does."""
    upload = files.upload()
    upload.write(content)
    return upload.finish()


def has(files: BlobFiles, ref: BlobRef) -> bool:
    """Whether all of it is there."""
    return files.size(ref.sha256) == ref.bytes


def damaged(folder: Path) -> list[str]:
    """The complete blobs of all processes that are not what their names say."""
    blobs = (path for path in sorted(folder.glob("*/*")) if len(path.name) == SHA256_CHARS)
    return [path.name for path in blobs if sha256(path.read_bytes()).hexdigest() != path.name]
