"""Several processes that work together, on one machine or on many: who there is, what all of them have to agree on, and
how they end together. ``mpiexec -n 8 cnn train photos/`` starts them, and MPI carries their messages (extra "mpi").
A process that nobody started so is alone, imports nothing of it, and pays nothing for it.

launcher.py reads what started this process. world.py is the processes as the rest of the program sees them: ``World``
is one that is alone, many.py has its form for MPI. current.py knows which of them this process is part of. reduction.py
sums arrays of all processes in a fixed order. guardian.py is a small process beside them, which notices if one of them
ends; lifeline.py is the line to it.

Nothing is imported here, because every command asks launcher.py.

What may not be here: images, networks, and what a process works on.
"""
