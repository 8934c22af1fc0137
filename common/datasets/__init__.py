"""The data sets: a folder each (what it may hold: common.datasets.folders), and the worlds that stand-ins draw from."""
