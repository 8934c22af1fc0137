"""DynMM's modality level: six scripts, two that count multiply-adds, and the loop that all of them share.

imdb/ and affect/ hold what belongs to one data set, networks/ what the networks of both are made of.
"""
