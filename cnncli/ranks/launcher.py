"""What started this process: which of how many it is, as mpiexec or srun say in the environment. Reading it takes no
time and needs no MPI, so that every command can ask.
"""

import os
from typing import NamedTuple

# Of MPICH and its relatives (PMI), Open MPI, and programs that srun starts with PMIx: the rank, and how many there are.
_VARIABLES = (("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
              ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"))


class Here(NamedTuple):
    """Which process this is, counted from 0, and of how many that were started together."""

    rank: int
    size: int


def here() -> Here:
    """Return which process this is; (0, 1) if it was started alone."""
    for rank, size in _VARIABLES:
        found = os.environ.get(rank, ""), os.environ.get(size, "")
        if all(value.isdecimal() for value in found) and int(found[1]) > 1:
            return Here(int(found[0]), int(found[1]))
    return Here(0, 1)
