"""Which pod a node's kernel gave each connection to the Service's address, whatever the application is."""
