"""Small rooms with a planted truth, which stand-ins of indoor scenes draw from."""
