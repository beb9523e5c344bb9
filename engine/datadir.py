"""What a data directory must be: a place that this process can make and write."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruche.plugins.errors import ConfigurationError, StorageStopped

_UNFIT = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP,
                    errno.ENAMETOOLONG})


@contextmanager
def opening(data: Path) -> Iterator[None]:
    """Around whatever opens it. Raises ConfigurationError for a place that cannot be made, written or named so."""
    if os.sep == "/" and "\\" in str(data.absolute()):
        raise ConfigurationError(f"{data}: the tables cannot lie below a name with a backslash; choose another")
    try:
        yield
    except (OSError, StorageStopped) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno in _UNFIT:
            raise ConfigurationError(f"{data}: this cannot be the data directory ({cause.strerror}); name another one, "
                                     "or let this process make and write it") from error
        raise
