"""What several protocols need: bounded HTTP, pace, replies, downloads, options, walks over folders."""
