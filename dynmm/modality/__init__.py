"""DynMM at the modality level: whole expert networks are chosen for each sample (MM-IMDB, CMU-MOSEI)."""
