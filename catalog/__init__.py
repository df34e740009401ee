"""What is known of imaging archives: keywords, capabilities, endpoints. Imports nothing of ours."""
