"""The command line ``tscl``."""
