"""The fusion methods, a file each: the network, and the `Method` that says what else is special about it.

A new one takes a file here, a line in xnorm/models.py, and a row in reproductions/reported/xnorm.yaml.
"""
