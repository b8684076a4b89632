"""What needs packages of its own: a web page, and encoding on Apache Beam."""
