"""What the pickles of CMU-MOSI in a folder hold: as for CMU-MOSEI, told apart by the files' names."""

from common.datasets.cmu_mosei.verify import add_flags, run

__all__ = ["add_flags", "run"]
