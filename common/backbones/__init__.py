"""Architectures under their published key names, and loaders of published weights."""
