"""Small kitchen clips with a planted truth, which stand-ins of action segments draw from."""
