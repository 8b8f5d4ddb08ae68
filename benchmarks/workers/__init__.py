"""The processes that a measurement runs, one module for each program that is compared. A worker is told what to prepare
and how long to run over its standard input (protocol.py); contest.py, on the other side, makes them take turns. The
peers' modules run under an interpreter of their own, so nothing here but ours.py may import cnncli."""
