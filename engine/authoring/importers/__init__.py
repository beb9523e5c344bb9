"""Makes agent folders from what others have written: graphs of the STAR corpus, and workflows in DOT."""
