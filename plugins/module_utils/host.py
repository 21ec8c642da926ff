# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host a module runs on: files, releases, the system user, systemd, sysctls.

Everything that touches the host is here, below a root that tests can move; nothing here decides.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import os
import pwd
import shutil
import stat
import tarfile
import tempfile

from .control import Deadline
from .spec import CONFIG_FILE

USER = "vrrp-ha"
SERVICE = "vrrp-ha.service"

CONFIG = CONFIG_FILE
KEYS = "/etc/vrrp-ha/keys.json"
UNIT = "/etc/systemd/system/vrrp-ha.service"
SYSCTLS = "/etc/sysctl.d/60-vrrp-ha.conf"
LAUNCHER = "/usr/local/bin/vrrp-ha"
BASE = "/opt/vrrp-ha"
RELEASES = BASE + "/releases"
CURRENT = BASE + "/current"
STATE_DIRECTORY = "/var/lib/vrrp-ha"
LOCK = "/run/vrrp-ha-agent.lock"
LOCK_TIMEOUT = 60.0  # seconds; more than a module that was left behind has still to do

# What is not complete yet, or not any more, is called so, beside what it is for.
WRITING = ".vrrp-ha-"
UNPACKING = ".new-"
REMOVING = ".old-"
LINKING = ".new"

# path -> (mode, group); the owner is root
MODES = {CONFIG: (0o644, "root"), KEYS: (0o640, USER), UNIT: (0o644, "root"), SYSCTLS: (0o644, "root")}


def _line(text):
    return " ".join(text.split())


class HostError(Exception):
    """Something on the host could not be done; the text names the thing and the remedy."""


class Host:
    """One host; run is AnsibleModule.run_command or a fake of it."""

    def __init__(self, run, root=""):
        self._run = run
        self._root = root

    def path(self, path):
        """Where a path of the host really is."""
        return self._root + path

    @contextlib.contextmanager
    def alone(self, seconds=LOCK_TIMEOUT):
        """No other module changes the host meanwhile; HostError when one does for longer than so many seconds.

        A module outlives the playbook that it was started by, when that is killed or the connection is lost.
        """
        directory = os.path.dirname(self.path(LOCK))
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755)
        with open(self.path(LOCK), "a", encoding="ascii") as file:

            def missing():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return "another run to finish its work on this host"
                return ""

            what = Deadline(seconds).wait(missing)
            if what:
                raise HostError("waited {0:g} s for {1}; see there with 'fuser {2}'".format(seconds, what, LOCK))
            yield

    # files

    def leftovers(self):
        """What a run that was broken off did not get to complete, or to remove."""
        found = [
            directory + "/" + name
            for directory, start in [(os.path.dirname(path), (WRITING,)) for path in MODES]
            + [(RELEASES, (UNPACKING, REMOVING))]
            if os.path.isdir(self.path(directory))
            for name in os.listdir(self.path(directory))
            if name.startswith(start)
        ]
        found += [path + LINKING for path in (CURRENT, LAUNCHER) if self.exists(path + LINKING)]
        return sorted(set(found))

    def read(self, path):
        """A file's text; None if there is no such file."""
        try:
            with open(self.path(path), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError("cannot read {0}: {1}; does the task run as root?".format(path, error.strerror)) from error

    def write(self, path, text):
        """Replace a file in one step, so that no reader ever sees half of it."""
        mode, group = self._mode(path)
        directory = os.path.dirname(self.path(path))
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755)
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=WRITING)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                self._own(temporary, mode, group)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path(path))
        except BaseException:
            os.unlink(temporary)
            raise

    def _mode(self, path):
        """The mode and group of a file; one at a place of the operator's keeps what it has."""
        if path in MODES or not os.path.exists(self.path(path)):
            return MODES.get(path, MODES[CONFIG])
        known = os.stat(self.path(path))
        return stat.S_IMODE(known.st_mode), known.st_gid

    def secure(self, path):
        """Put a file's owner and mode right."""
        mode, group = MODES[path]
        self._own(self.path(path), mode, group)

    def is_secure(self, path):
        """Whether a file has the owner and the mode it should have."""
        mode, group = MODES[path]
        try:
            known = os.stat(self.path(path))
        except FileNotFoundError:
            return False
        if stat.S_IMODE(known.st_mode) != mode:
            return False
        return bool(self._root) or (known.st_uid, known.st_gid) == (0, self._group_id(group))

    def remove(self, path):
        """Remove a file, a link or a directory with everything in it."""
        real = self.path(path)
        if os.path.islink(real) or os.path.isfile(real):
            os.unlink(real)
        elif os.path.isdir(real):
            shutil.rmtree(real)

    def exists(self, path):
        """Whether there is anything at the path."""
        return os.path.lexists(self.path(path))

    def link_target(self, path):
        """What a symbolic link says; None if it is none."""
        real = self.path(path)
        return os.readlink(real) if os.path.islink(real) else None

    def link(self, path, target):
        """Make or turn a symbolic link in one step."""
        directory = os.path.dirname(self.path(path))
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755)
        temporary = self.path(path) + LINKING
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, self.path(path))

    def _own(self, path, mode, group):
        os.chmod(path, mode)
        if not self._root:
            os.chown(path, 0, self._group_id(group))

    @staticmethod
    def _group_id(group):
        if isinstance(group, int):
            return group
        try:
            return grp.getgrnam(group).gr_gid
        except KeyError:
            return 0  # until the system user is there, root alone may read

    # releases

    def releases(self):
        """The digests of the releases on the host, the newest first."""
        directory = self.path(RELEASES)
        if not os.path.isdir(directory):
            return []
        names = [name for name in os.listdir(directory) if not name.startswith(".")]
        return sorted(names, key=lambda name: os.stat(os.path.join(directory, name)).st_mtime, reverse=True)

    def install(self, digest, archive, archive_digest, python):
        """Unpack a release beside the others; it is there whole or not at all."""
        with open(archive, "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != archive_digest:
            raise HostError("the release was damaged on its way to {0}; run the play again".format(archive))
        self.command(
            [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11) and 'it is Python ' + sys.version)"],
            "run the agent, which needs Python 3.11 (set the option python to one)",
        )
        directory = self.path(RELEASES)
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755)
        fresh = tempfile.mkdtemp(dir=directory, prefix=UNPACKING)
        try:
            self._unpack(archive, fresh)
            # The service may not write below the release, so it could never keep what it compiled.
            self.command([python, "-m", "compileall", "-q", os.path.join(fresh, "lib")], "compile the release")
            os.chmod(fresh, 0o755)
            os.sync()  # its name says that it is whole, also after the power went
            self._rename(fresh, os.path.join(directory, digest))
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def remove_release(self, digest):
        """Remove a release; no part of it ever passes for the whole."""
        going = self.path(RELEASES + "/" + REMOVING + digest)
        os.rename(self.path(RELEASES + "/" + digest), going)
        shutil.rmtree(going)

    @staticmethod
    def _rename(fresh, target):
        try:
            os.rename(fresh, target)
        except OSError:
            # Another play was faster; what it put there has the same digest.
            if not os.path.isdir(target):
                raise
            shutil.rmtree(fresh)

    @staticmethod
    def _unpack(archive, directory):
        with tarfile.open(archive) as tar:
            for member in tar:
                target = os.path.normpath(os.path.join(directory, member.name))
                source = tar.extractfile(member) if member.isfile() else None
                if source is None or not target.startswith(directory + os.sep):
                    raise HostError("the release contains {0!r}, which is no file of it".format(member.name))
                parent = os.path.dirname(target)
                if not os.path.isdir(parent):
                    os.makedirs(parent, 0o755)
                with open(target, "wb") as file:
                    shutil.copyfileobj(source, file)
                os.chmod(target, 0o755 if member.mode & 0o100 else 0o644)

    def launcher(self, digest):
        """The vrrp-ha command of a release, absolute and real."""
        return self.path("{0}/{1}/bin/vrrp-ha".format(RELEASES, digest))

    # the system user

    def has_user(self):
        """Whether the user and the group of the service are there."""
        try:
            pwd.getpwnam(USER)
            grp.getgrnam(USER)
        except KeyError:
            return False
        return True

    def add_user(self):
        """Make the user and the group of the service."""
        self.command(
            ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", STATE_DIRECTORY]
            + ["--shell", "/usr/sbin/nologin", USER],
            "add the system user " + USER,
        )

    def remove_user(self):
        """Take the user and its group away."""
        self.command(["userdel", USER], "remove the system user " + USER)

    # systemd

    def service(self):
        """What systemd knows of the service: a dict of its properties."""
        names = "LoadState,ActiveState,UnitFileState,MainPID,NeedDaemonReload"
        out = self.command(["systemctl", "show", "--property", names, SERVICE], "ask systemd about " + SERVICE)
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def running_release(self, pid):
        """The release that a process of the service was started from; None if it cannot be told."""
        try:
            directory = os.readlink(self.path("/proc/{0}/cwd".format(pid)))
        except OSError:
            return None
        digest = os.path.basename(directory.split(" (deleted)")[0])
        return digest if os.path.dirname(directory).endswith(RELEASES) else None

    def systemctl(self, *arguments):
        """Change something with systemctl; a failure brings the last lines of the journal."""
        rc, out, err = self._run(["systemctl"] + list(arguments))
        if rc:
            raise HostError(
                "systemctl {0}: {1}; the journal says: {2}".format(
                    " ".join(arguments), _line(err or out), self.journal()
                )
            )

    def journal(self):
        """The last lines that the service logged."""
        arguments = ["journalctl", "--unit", SERVICE, "--lines", "8", "--no-pager", "--output", "cat"]
        _rc, out, err = self._run(arguments)
        return " | ".join((out or err).strip().splitlines()) or "nothing"

    # sysctls

    def sysctl(self, name):
        """The value of a sysctl; None if the kernel has none such."""
        text = self.read("/proc/sys/" + name.replace(".", "/"))
        return None if text is None else text.strip()

    def set_sysctl(self, name, value):
        """Give a sysctl a value, until the next boot."""
        path = self.path("/proc/sys/" + name.replace(".", "/"))
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise HostError("cannot set {0} to {1}: {2}".format(name, value, error.strerror)) from error

    # commands

    def command(self, arguments, purpose):
        """The output of a command that must not fail."""
        rc, out, err = self._run(arguments)
        if rc:
            raise HostError("cannot {0}: {1}: {2}".format(purpose, " ".join(arguments), _line(err or out)))
        return out

    def attempt(self, arguments, text=None):
        """What a command that may fail says, given a text to read: (exit code, output, errors)."""
        return self._run(arguments, data=text)
