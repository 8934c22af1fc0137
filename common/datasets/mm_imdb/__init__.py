"""MM-IMDB as features of plots and posters."""

from common.datasets.about import About

ABOUT = About(
    title="MM-IMDB: genres of films from features of plot and poster",
    source=(
        "multimodal_imdb.hdf5 of johnarevalo/gmu-mmimdb, or its raw release; the links are dead, archive.org "
        "keeps copies"
    ),
    size="25,959 films: 15,552 / 2,608 / 7,799 (train / dev / test)",
    licence="not known here: see the terms of the source",
)
