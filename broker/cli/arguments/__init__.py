"""What each command takes; only argparse is loaded."""
