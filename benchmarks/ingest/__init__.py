"""What ingest costs: frames per second of processor time, from the frame's text to the broker's acknowledgement."""
