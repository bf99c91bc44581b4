"""The number of cores that a process may use: affinity and quotas of control groups."""

import math
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_onnx import runtime


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@given(cores=st.integers(1, 512), quota=st.none() | st.floats(0.001, 1000))
def test_usable_cores_are_at_least_one_and_never_more_than_there_are(cores, quota):
    usable = runtime.usable_cores(cores, quota)
    assert 1 <= usable <= cores
    if quota is not None:
        assert usable == min(cores, math.ceil(quota))


def test_default_threads_keep_to_the_affinity():
    threads = runtime.default_threads()
    assert 1 <= threads <= (os.cpu_count() or 1)
    if sys.platform == "linux":
        assert threads <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # version 2: quota and period in microseconds
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n"}, 4.0),
        # a parent's limit counts, whether or not the group itself has a higher one
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
            },
            0.5,
        ),
        # in a container the path is the host's, and only the root is mounted
        ({"proc/self/cgroup": "0::/../../docker/1f\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        # nothing outside of the mount counts
        (
            {
                "proc/self/cgroup": "0::/../a\n",
                "sys/fs/cgroup/cpu.max": "max 100000\n",
                "sys/fs/cpu.max": "100000 100000\n",
            },
            None,
        ),
        # version 1
        (
            {
                "proc/self/cgroup": "12:memory:/m\n5:cpu,cpuacct:/docker/1f\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/1f\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        # other controllers say nothing; cpuset is not cpu
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "nonsense\n", "sys/fs/cgroup/cpu.max": "so many\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_the_control_group(tmp_path, files, expected):
    for name, text in files.items():
        write(tmp_path, name, text)
    assert runtime.cgroup_quota(tmp_path) == expected
