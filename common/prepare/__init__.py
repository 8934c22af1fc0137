"""Prepares a data set: from its raw release to the layout that its reader takes."""
