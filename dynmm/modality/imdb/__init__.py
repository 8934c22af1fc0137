"""MM-IMDB in DynMM: data, networks, scores, files and flags."""
