# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`vrrp-ha run`: put the agent together, and say in plain words why it cannot start when it cannot."""

from __future__ import annotations

import sys

from .config import ConfigurationError, load
from .dataplane import DataPlaneError
from .journal import Journal, logs_to_journald
from .notify import ServiceManager
from .state import StateDirectory, StateError


def run(path: str, *, verbose: bool) -> int:
    """The exit code: 0 when it was told to stop, 2 for a bad configuration, 1 when it could not go on."""
    try:
        configuration = load(path)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    from .agent import Agent  # the whole of the agent: not for those who only see a typing error

    journal = Journal(verbose=verbose, under_systemd=logs_to_journald())
    try:
        state = StateDirectory(configuration.shell.state_directory)
        agent = Agent(configuration, journal, state, ServiceManager())
        agent.run()
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"{error}: the agent needs root, or CAP_NET_ADMIN and CAP_NET_RAW", file=sys.stderr)
        return 1
    except (OSError, DataPlaneError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return 1
    return 0
