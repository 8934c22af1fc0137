"""Stand-ins of published weights, under their names and keys: ImageNet ResNets, a BERT folder, I3Ds of Kinetics."""
