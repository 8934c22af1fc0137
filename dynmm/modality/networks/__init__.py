"""What the networks of both data sets are made of, their multiply-adds and their files."""
