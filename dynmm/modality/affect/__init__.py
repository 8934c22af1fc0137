"""CMU-MOSEI and CMU-MOSI in DynMM: data, networks, scores, files and flags."""
